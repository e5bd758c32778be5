# The tag names the exact Python (the line that the tests run with) and the release of Debian. No digest on purpose: the
# tag is made again when Debian mends something, and `docker build --pull` then brings that in. Whoever wants the very
# same bytes in every build adds the digest that `docker buildx imagetools inspect` prints for the tag:
# python:3.11.15-slim-bookworm@sha256:...
FROM python:3.11.15-slim-bookworm

# The program's folder is not writable at run time; what is printed is to be seen at once.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

# A uid of its own and always the same, so that the owner of a volume stays right from one image to the next.
# /data belongs to it before it becomes a volume: a new named volume takes the owner and the mode from here.
RUN groupadd --gid 10001 foyer \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin foyer \
 && install -d -o foyer -g foyer -m 0700 /data /data/backups

WORKDIR /app

# Before the program, so that a change of it does not fetch the packages again. Only what is pinned, and only wheels:
# there is no compiler here, and without a wheel it is better to end now than to run without the parts written in C.
COPY requirements.txt ./
RUN python -m pip install --no-cache-dir --no-deps --only-binary :all: --root-user-action ignore \
        --disable-pip-version-check -r requirements.txt \
 && python -m pip check --disable-pip-version-check

COPY run.py schema.sql LICENSE ./
COPY config/server.cfg config/bot.cfg config/
COPY server/ server/
COPY ws/ ws/
COPY bot/ bot/
# Readable whatever the umask was of whoever made the clone.
RUN chmod -R a+rX .

# In the environment instead of the command, so that `docker exec ... python run.py backup` and the other commands find
# the same database. Not being loopback, the host turns the stand-ins off (sandbox.mode = auto): without a key a
# provider is `not_configured`, and nothing made up gets to a member.
ENV FOYER_SERVER_HOST=0.0.0.0 FOYER_SERVER_PORT=8080 FOYER_DATABASE_URL=sqlite:/data/foyer.db

# foyer.db, foyer.key, backups/, and what a restore keeps aside.
VOLUME /data
EXPOSE 8080

# As a number: an orchestrator can see that it is not root without reading the image's /etc/passwd.
USER 10001:10001

# Not /readyz: that the database is away or a stop is in progress is no reason to have the container ended. http.client,
# because urllib would send this through the proxy that Docker may put into the environment.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['FOYER_SERVER_PORT']), timeout=4); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]

# Without a shell in between, which would not hand SIGTERM on.
ENTRYPOINT ["python", "run.py"]
CMD ["serve"]
