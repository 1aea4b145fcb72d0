#!/bin/sh
# The key on the first start, then Dovecot in the foreground.
set -eu
/usr/local/bin/make-keys.sh /etc/dovecot/keys
exec dovecot -F
