"""`run.py check`: proves the invariants of the data. Each is a query that finds what breaks it."""
from __future__ import annotations

from server.storage import Tx

INVARIANTS: tuple[tuple[str, str], ...] = (
    ("like_count of a post is not the number of its likes", """
        SELECT 'post ' || p.id AS what FROM posts p
        WHERE p.like_count <> (
            SELECT count(*) FROM likes l WHERE l.post_id = p.id AND l.taken_back_at IS NULL)"""),
    ("a member likes a post of their own", """
        SELECT 'post ' || p.id AS what FROM likes l JOIN posts p ON p.id = l.post_id WHERE l.user_id = p.author_id"""),
    ("a member likes a post twice", """
        SELECT 'post ' || post_id || ', member ' || user_id AS what FROM likes
        GROUP BY post_id, user_id HAVING count(*) > 1"""),
    ("post_count of a member is not the number of their posts", """
        SELECT 'member ' || u.id AS what FROM users u
        WHERE u.post_count <> (SELECT count(*) FROM posts p WHERE p.author_id = u.id)"""),
    ("a gap in a member's event numbers", """
        SELECT 'member ' || u.id AS what FROM users u
        WHERE u.event_seq - u.event_floor - u.events_dropped
            <> (SELECT count(*) FROM events e WHERE e.user_id = u.id AND e.seq > u.event_floor)"""),
    ("an event with a number that was not given out", """
        SELECT 'member ' || e.user_id || ', event ' || e.seq AS what FROM events e JOIN users u ON u.id = e.user_id
        WHERE e.seq > u.event_seq OR e.seq <= u.event_floor"""),
    ("an acknowledgement beyond the newest event", """
        SELECT 'member ' || id AS what FROM users WHERE event_acked > event_seq OR event_floor > event_seq"""),
    ("a member without an enrichment", """
        SELECT 'member ' || u.id AS what FROM users u
        WHERE NOT EXISTS (SELECT 1 FROM enrichments e WHERE e.user_id = u.id)"""),
    ("an enrichment is open without a job", """
        SELECT 'member ' || e.user_id AS what FROM enrichments e
        WHERE e.status IN ('queued', 'running') AND NOT EXISTS (
            SELECT 1 FROM jobs j WHERE j.kind = 'enrich' AND j.key = CAST(e.user_id AS TEXT)
                AND j.state IN ('ready', 'running'))"""),
    ("not exactly one answer for each request of an enrichment", """
        SELECT 'member ' || user_id AS what FROM enrichments
        WHERE answers <> requests - CASE WHEN status IN ('queued', 'running') THEN 1 ELSE 0 END"""),
    ("an `enriched` event too many or too few", """
        SELECT 'member ' || u.id AS what FROM users u JOIN enrichments e ON e.user_id = u.id
        WHERE u.event_floor = 0 AND u.events_dropped = 0
            AND e.answers <> (SELECT count(*) FROM events v WHERE v.user_id = u.id AND v.type = 'enriched')"""),
    ("an address is pending without a job", """
        SELECT 'member ' || u.id AS what FROM users u
        WHERE u.email_status = 'pending' AND NOT EXISTS (
            SELECT 1 FROM jobs j WHERE j.kind = 'verify_email' AND j.key = CAST(u.id AS TEXT)
                AND j.state IN ('ready', 'running'))"""),
    ("a like by nobody, or of nothing", """
        SELECT 'post ' || l.post_id || ', member ' || l.user_id AS what FROM likes l
        WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = l.user_id)
            OR NOT EXISTS (SELECT 1 FROM posts p WHERE p.id = l.post_id)"""),
    ("something is left of a member who is gone", """
        SELECT found.what || ' of member ' || found.member_id AS what FROM (
            SELECT 'post ' || id AS what, author_id AS member_id FROM posts
            UNION ALL SELECT 'session ' || id, user_id FROM sessions
            UNION ALL SELECT 'event ' || seq, user_id FROM events
            UNION ALL SELECT 'the enrichment', user_id FROM enrichments
            UNION ALL SELECT 'a kept answer', member_id FROM idempotency WHERE member_id IS NOT NULL
            UNION ALL SELECT 'mail ' || id, user_id FROM mails
            UNION ALL SELECT 'link ' || id, user_id FROM links
            UNION ALL SELECT 'file ' || id, user_id FROM files
            UNION ALL SELECT 'version ' || id, user_id FROM file_versions
            UNION ALL SELECT 'check ' || id, user_id FROM checks
            UNION ALL SELECT 'a mention', member_id FROM mentions
            UNION ALL SELECT 'a mention to', told_id FROM mentions) AS found
        WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = found.member_id)"""),
    ("an event names a member who is gone", """
        SELECT 'member ' || e.user_id || ', event ' || e.seq AS what FROM events e
        WHERE e.type = 'post_liked' AND json_extract(e.data, '$.by.id') NOT IN (SELECT id FROM users)"""),
    ("a name in an event that could not be found to be erased", """
        SELECT 'member ' || e.user_id || ', event ' || e.seq AS what FROM events e
        WHERE e.type = 'post_liked' AND json_extract(e.data, '$.by.id') IS NOT NULL
            AND NOT EXISTS (
                SELECT 1 FROM likes l JOIN posts p ON p.id = l.post_id
                WHERE l.user_id = json_extract(e.data, '$.by.id') AND l.post_id = json_extract(e.data, '$.post_id')
                    AND p.author_id = e.user_id AND l.told = e.seq)
            AND NOT EXISTS (
                SELECT 1 FROM mentions m WHERE m.member_id = json_extract(e.data, '$.by.id')
                    AND m.told_id = e.user_id AND m.told = e.seq)"""),
    ("a running job without a lease", """
        SELECT 'job ' || id AS what FROM jobs
        WHERE (state = 'running') <> (lease_until IS NOT NULL AND worker IS NOT NULL)"""),
    ("an ended job without an end", """
        SELECT 'job ' || id AS what FROM jobs WHERE (state IN ('done', 'failed')) <> (finished_at IS NOT NULL)"""),
    ("a balance is not the sum of the member's entries", """
        SELECT 'entry ' || id AS what FROM (
            SELECT id, balance, sum(amount) OVER (PARTITION BY user_id ORDER BY id) AS total FROM ledger) AS summed
        WHERE balance <> total"""),
    ("an entry of the ledger with another cause than it says", """
        SELECT 'entry ' || id AS what FROM (
            SELECT id, user_id, key, reason, row_number() OVER (PARTITION BY user_id, reason ORDER BY id) AS n
            FROM ledger) AS numbered
        WHERE key <> CASE reason WHEN 'invitee_reward' THEN 'invitee:' || user_id
            ELSE 'inviter:' || user_id || ':' || n END"""),
    ("an inviter's counts are not those of the sign-ups and rewards", """
        SELECT 'member ' || i.user_id AS what FROM inviters i
        WHERE i.invited <> (SELECT count(*) FROM referrals r WHERE r.inviter_id = i.user_id)
            OR i.counted <> (
                SELECT count(*) FROM referrals r WHERE r.inviter_id = i.user_id AND r.counted_at IS NOT NULL)
            OR i.rewarded <> (
                SELECT count(*) FROM ledger l WHERE l.user_id = i.user_id AND l.reason = 'inviter_reward')"""),
    ("a sign-up through a code that is not counted for its inviter", """
        SELECT 'referral ' || r.id AS what FROM referrals r
        WHERE NOT EXISTS (SELECT 1 FROM inviters i WHERE i.user_id = r.inviter_id)"""),
    ("a mailbox that has counted is not known to have", """
        SELECT 'referral ' || r.id AS what FROM referrals r
        WHERE r.counted_at IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM counted_mailboxes c WHERE c.mailbox = r.mailbox)"""),
    ("a member who has invited themselves", """
        SELECT 'member ' || invitee_id AS what FROM referrals WHERE invitee_id = inviter_id"""),
    ("a sign-up counts without the invitee's reward, or the other way round", """
        SELECT 'member ' || r.invitee_id AS what FROM referrals r
        WHERE r.invitee_id IS NOT NULL AND (r.counted_at IS NOT NULL) <> EXISTS (
            SELECT 1 FROM ledger l WHERE l.key = 'invitee:' || r.invitee_id)"""),
    # What counts never becomes less, so each reward must be covered still; with the target that was in force.
    ("a reward that is not due", """
        SELECT 'entry ' || e.id AS what FROM (
            SELECT id, user_id, target, row_number() OVER (PARTITION BY user_id ORDER BY id) AS n FROM ledger
            WHERE reason = 'inviter_reward') AS e JOIN inviters i ON i.user_id = e.user_id
        WHERE e.n * e.target > i.counted"""),
    # The entry of the last who counted says which target was in force then, unless the invitee has left.
    ("a reward that is due was not paid", """
        SELECT 'member ' || i.user_id AS what FROM inviters i
        WHERE i.rewarded < i.counted / (
                SELECT l.target FROM referrals r JOIN ledger l ON l.key = 'invitee:' || r.invitee_id
                WHERE r.inviter_id = i.user_id AND r.counted_at IS NOT NULL ORDER BY l.id DESC LIMIT 1)
            AND NOT EXISTS (
                SELECT 1 FROM referrals r
                WHERE r.inviter_id = i.user_id AND r.counted_at IS NOT NULL AND r.invitee_id IS NULL)"""),
    ("a `referral_credited` event too many or too few", """
        SELECT 'member ' || u.id AS what FROM users u
        WHERE u.event_floor = 0 AND u.events_dropped = 0
            AND (SELECT count(*) FROM ledger l WHERE l.user_id = u.id)
                <> (SELECT count(*) FROM events v WHERE v.user_id = u.id AND v.type = 'referral_credited')"""),
    ("a mail is queued without a job", """
        SELECT 'mail ' || m.id AS what FROM mails m
        WHERE m.status = 'queued' AND NOT EXISTS (
            SELECT 1 FROM jobs j WHERE j.kind = 'send_mail' AND j.key = CAST(m.id AS TEXT)
                AND j.state IN ('ready', 'running'))"""),
    ("a wanted address without a verdict, or one without the other", """
        SELECT 'member ' || id AS what FROM users WHERE (email_wanted IS NULL) <> (email_wanted_status IS NULL)"""),
    ("the bytes of a file are counted wrongly, or nobody's", """
        SELECT 'content ' || c.sha256 AS what FROM contents c
        WHERE c.uses = 0 OR c.uses <> (SELECT count(*) FROM file_versions v WHERE v.sha256 = c.sha256)"""),
    ("a version of a file without its bytes, or with others", """
        SELECT 'version ' || v.id AS what FROM file_versions v
        WHERE NOT EXISTS (SELECT 1 FROM contents c WHERE c.sha256 = v.sha256 AND length(c.bytes) = v.size)"""),
    ("a version or a check of somebody else's file", """
        SELECT found.what FROM (
            SELECT 'version ' || id AS what, file_id, user_id FROM file_versions
            UNION ALL SELECT 'check ' || id, file_id, user_id FROM checks) AS found
        WHERE NOT EXISTS (SELECT 1 FROM files f WHERE f.id = found.file_id AND f.user_id = found.user_id)"""),
    ("a file is not what its newest version is", """
        SELECT 'file ' || f.id AS what FROM files f
        WHERE NOT EXISTS (
                SELECT 1 FROM file_versions v WHERE v.file_id = f.id AND v.version = f.version
                    AND v.name = f.name AND v.sha256 = f.sha256 AND v.size = f.size)
            OR EXISTS (SELECT 1 FROM file_versions v WHERE v.file_id = f.id AND v.version > f.version)"""),
    ("a file's status is not that of its newest check", """
        SELECT 'file ' || f.id AS what FROM files f
        WHERE NOT EXISTS (
            SELECT 1 FROM checks c WHERE c.id = (SELECT max(id) FROM checks WHERE file_id = f.id)
                AND c.version = f.version AND c.status = f.status)"""),
    ("a file or a check that has ended without a time, or the other way round", """
        SELECT 'file ' || id AS what FROM files WHERE (status IN ('pending', 'running')) <> (checked_at IS NULL)
        UNION ALL SELECT 'check ' || id FROM checks
        WHERE (status IN ('pending', 'running')) <> (finished_at IS NULL)
            OR (status = 'error') <> (reason IS NOT NULL)"""),
    ("a check waits without a job", """
        SELECT 'check ' || c.id AS what FROM checks c
        WHERE c.status IN ('pending', 'running') AND NOT EXISTS (
            SELECT 1 FROM jobs j WHERE j.kind = 'check_files' AND j.key = CAST(c.user_id AS TEXT)
                AND j.state IN ('ready', 'running'))"""),
    ("two checks of a member run at once", """
        SELECT 'member ' || user_id AS what FROM checks WHERE status = 'running'
        GROUP BY user_id HAVING count(*) > 1"""),
    ("not exactly one `file_checked` event for a check that has ended", """
        SELECT 'check ' || c.id AS what FROM checks c JOIN users u ON u.id = c.user_id
        WHERE u.event_floor = 0 AND u.events_dropped = 0
            AND CASE WHEN c.status IN ('pending', 'running') THEN 0 ELSE 1 END <> (
                SELECT count(*) FROM events e WHERE e.user_id = c.user_id AND e.type = 'file_checked'
                    AND json_extract(e.data, '$.check_id') = c.id)"""),
    ("the audit holds something personal of a member who is gone", """
        SELECT 'entry ' || e.id AS what FROM audit e
        WHERE (e.address IS NOT NULL OR e.request_id IS NOT NULL OR e.details <> '{}')
            AND (e.actor_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = e.actor_id)
                OR e.member_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = e.member_id))"""),
    ("an imported address or card is linked without a rule, has a rule without a link, or is linked with nobody", """
        SELECT found.what FROM (
            SELECT 'address ' || id AS what, person_id, link_rule FROM addresses
            UNION ALL SELECT 'card ' || id, person_id, link_rule FROM cards) AS found
        WHERE (found.person_id IS NULL) <> (found.link_rule IS NULL)
            OR found.person_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM people p WHERE p.id = found.person_id)"""),
    ("what a person's own record carries has a uid, or something else has none", """
        SELECT 'address ' || id AS what FROM addresses WHERE (uid IS NULL) <> (coalesce(link_rule, '') = 'embedded')
        UNION ALL SELECT 'card ' || id FROM cards WHERE (uid IS NULL) <> (coalesce(link_rule, '') = 'embedded')"""),
    ("half a place, or a card that is kept otherwise than by its last four digits and a fingerprint", """
        SELECT 'address ' || id AS what FROM addresses WHERE (latitude IS NULL) <> (longitude IS NULL)
        UNION ALL SELECT 'card ' || id FROM cards WHERE length(last4) <> 4 OR length(fingerprint) <> 32"""),
    ("a person waits who has been given one, or does not wait who has not", """
        SELECT 'person ' || p.id || ', address' AS what FROM people p
        WHERE (p.waits_for_address = 0) <> EXISTS (
            SELECT 1 FROM addresses a WHERE a.person_id = p.id AND a.link_rule <> 'embedded')
        UNION ALL SELECT 'person ' || p.id || ', card' FROM people p
        WHERE (p.waits_for_card = 0) <> EXISTS (
            SELECT 1 FROM cards c WHERE c.person_id = p.id AND c.link_rule <> 'embedded')"""),
    # Each run of an import brings together what waits for each other; only the deletion of a person parts some again.
    ("something waits for a person while somebody waits for it, and no deletion has left it", """
        SELECT 'addresses' AS what
        WHERE EXISTS (SELECT 1 FROM people WHERE waits_for_address = 1)
            AND (SELECT count(*) FROM addresses WHERE person_id IS NULL)
                > coalesce((SELECT n FROM tallies WHERE name = 'addresses freed'), 0)
        UNION ALL SELECT 'cards'
        WHERE EXISTS (SELECT 1 FROM people WHERE waits_for_card = 1)
            AND (SELECT count(*) FROM cards WHERE person_id IS NULL)
                > coalesce((SELECT n FROM tallies WHERE name = 'cards freed'), 0)"""),
    ("a tally of people, addresses or cards is not their number", """
        SELECT counted.name AS what FROM (
            SELECT 'people' AS name, count(*) AS n FROM people
            UNION ALL SELECT 'addresses', count(*) FROM addresses WHERE uid IS NOT NULL
            UNION ALL SELECT 'cards', count(*) FROM cards WHERE uid IS NOT NULL
            UNION ALL SELECT 'addresses ' || coalesce(link_rule, 'unlinked'), count(*) FROM addresses GROUP BY link_rule
            UNION ALL SELECT 'cards ' || coalesce(link_rule, 'unlinked'), count(*) FROM cards GROUP BY link_rule
            UNION ALL SELECT name, -n FROM tallies
            WHERE (name = 'people' OR name LIKE 'addresses%' OR name LIKE 'cards%') AND name NOT LIKE '% freed'
        ) AS counted
        GROUP BY counted.name HAVING sum(counted.n) <> 0"""),
    ("a person who cannot be found by their names", """
        SELECT 'person ' || p.id AS what FROM people p
        WHERE (SELECT count(*) FROM person_words w WHERE w.person_id = p.id)
            <> CASE WHEN p.username IS NULL THEN 2 ELSE 3 END"""),
    ("an import is under way without a job that ends it, or over without a time, or failed without a reason", """
        SELECT 'run ' || r.id AS what FROM import_runs r
        WHERE (r.status = 'running') <> (r.finished_at IS NULL) OR (r.status = 'failed') <> (r.error IS NOT NULL)
            OR r.status = 'running' AND NOT EXISTS (
                SELECT 1 FROM jobs j WHERE j.kind = 'import' AND j.key = r.schedule AND j.state IN ('ready', 'running'))
        """),
)
MOST_SHOWN = 20


async def broken(tx: Tx) -> list[str]:
    """A line for each invariant that is broken, with what breaks it; empty when all hold."""
    lines = []
    for sentence, sql in INVARIANTS:
        found = [row["what"] for row in await tx.all(sql)]
        if found:
            more = f" and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
            lines.append(f"{sentence}: {'; '.join(found[:MOST_SHOWN])}{more}")
    return lines
