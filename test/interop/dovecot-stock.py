"""Reads every message of a mailbox with the IMAP and POP3 clients of Python; prints them as JSON, in base64.

dovecot-stock.py CA IMAP-PORT POP-PORT ACCOUNT SECRET
"""
import base64
import imaplib
import json
import poplib
import ssl
import sys

ca, imap_port, pop_port, account, secret = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)

imap = imaplib.IMAP4("localhost", int(imap_port))
imap.starttls(context)
imap.login(account, secret)
imap.select("INBOX", readonly=True)
numbers = imap.search(None, "ALL")[1][0].split()
over_imap = [imap.fetch(number, "(BODY.PEEK[])")[1][0][1] for number in numbers]
imap.logout()

pop = poplib.POP3("localhost", int(pop_port))
pop.stls(context)
pop.user(account)
pop.pass_(secret)
count = pop.stat()[0]
over_pop = [b"\r\n".join(pop.retr(n + 1)[1]) + b"\r\n" for n in range(count)]
pop.quit()

print(json.dumps({"imap": [base64.b64encode(m).decode() for m in over_imap],
                  "pop": [base64.b64encode(m).decode() for m in over_pop]}))
