"""A process that asks with clearbit, whose addresses alone are changed; see third_party.py.

Run by the interpreter of an environment that has nothing else in it.
"""
from __future__ import annotations

import json
import sys
from typing import Any

import clearbit
import requests


def end(call: str, key: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """How a call (`Person.find`) ended."""
    resource, _, method = call.partition(".")
    clearbit.key = key
    try:
        return {"gave": getattr(getattr(clearbit, resource), method)(**arguments)}
    except requests.HTTPError as error:
        return {"raised": "HTTPError", "status": error.response.status_code, "told": error.response.json()}


if __name__ == "__main__":
    url = sys.argv[1]
    clearbit.Person.endpoint = url + "/v2/people"
    clearbit.Company.endpoint = url + "/v2/companies"
    clearbit.PersonCompany.endpoint = url + "/v2/combined"
    for line in sys.stdin:
        print(json.dumps(end(*json.loads(line))), flush=True)
