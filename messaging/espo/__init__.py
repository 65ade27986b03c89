"""A tenant's EspoCRM: its leads are read here, what happens here is told there.

queueing  what has to be told commits with what it tells of
client    one call to EspoCRM, and what its refusal means
leads     its leads as they come, and its searches
agreeing  two sides of one lead: whose change counts
pulling   reading what changed there, and what is gone
wording   what a message is as a note, or as an e-mail
pushing   telling it what waits, each thing once
turns     whose turn it is, and when it is next
running   one run: reading, telling
linking   what a person does with the link
"""
