"""Mail as the packages of Python read it: a second opinion that shares nothing with the gateway. Prints JSON.

stock-mail.py fetch CA IMAP-PORT POP-PORT ACCOUNT SECRET   every message of a mailbox, over IMAP and over POP3, in base64
stock-mail.py parse                                        the leaves of each message on stdin (a JSON list of base64)
stock-mail.py unzip                                        the files of each archive on stdin (a JSON list of base64)
"""
import base64
import email
import email.policy
import imaplib
import io
import json
import poplib
import ssl
import sys
import xml.etree.ElementTree
import zipfile


def text(data):
    return base64.b64encode(data).decode()


def fetch(ca, imap_port, pop_port, account, secret):
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
    return {"imap": [text(one) for one in over_imap], "pop": [text(one) for one in over_pop]}


def root_of(data):
    """The name of the outermost element, `{namespace}name`; nothing where it is no XML."""
    try:
        return xml.etree.ElementTree.fromstring(data).tag
    except xml.etree.ElementTree.ParseError:
        return None


def parse(message):
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    leaves = [part for part in parsed.walk() if not part.is_multipart()]
    return {
        "fields": {name.lower(): str(value) for name, value in parsed.items()},
        "defects": [str(defect) for part in parsed.walk() for defect in part.defects],
        "parts": [
            {
                "type": part.get_content_type(),
                "name": part.get_filename(),
                "bytes": text(part.get_payload(decode=True)),
                "root": root_of(part.get_payload(decode=True)),
            }
            for part in leaves
        ],
    }


def unzip(archive):
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        bad = opened.testzip()
        if bad is not None:
            raise ValueError(f"{bad} is damaged")
        return {name: text(opened.read(name)) for name in opened.namelist()}


command, *words = sys.argv[1:]
if command == "fetch":
    print(json.dumps(fetch(*words)))
else:
    given = [base64.b64decode(one) for one in json.load(sys.stdin)]
    print(json.dumps([{"parse": parse, "unzip": unzip}[command](one) for one in given]))
