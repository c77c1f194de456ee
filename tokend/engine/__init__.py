"""What keeps tokens fresh: when to ask, what an answer means, what is remembered, who is told. Takes time only from
`Clock`, and names neither asyncio nor a socket nor a vendor.

Retries stand in `refresher` (held tokens), `issuance` (on demand) and `publisher` (sinks), and nowhere else.
"""
