"""Certificates: what a proof says, put on pages that a court can file, and sealed.

`facts` turns a proof and the office's own words into lines to print, nothing unproven; `page` sets them as PDF/A-3, the
same bytes for the same facts; `sealing` and `judging` know seals and time-stamps; nothing here opens a store.
"""
