"""Stand-ins for the outside services: small HTTP apps that answer in the vendors' own shapes.

They are reached over HTTP by the very clients that reach the vendors, and can be told to be slow, wrong or down.
"""
