"""The whole main job on one machine: real service, real people's clients, real attacks, and a story of it.

Nothing here is a part of the product's behaviour: it calls the client as each person would, in a folder of his own.
"""
