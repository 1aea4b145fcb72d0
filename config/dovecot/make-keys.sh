#!/bin/sh
# Makes the key pair that mail at rest is encrypted with, once. It never replaces one: mail under a lost key is lost.
#   make-keys.sh [FOLDER]      default: /etc/dovecot/keys
set -eu
folder=${1:-/etc/dovecot/keys}
umask 077
mkdir -p "$folder"
if [ ! -s "$folder/private.pem" ]; then
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve -out "$folder/private.tmp"
  sync "$folder/private.tmp"
  mv -n "$folder/private.tmp" "$folder/private.pem"
fi
openssl pkey -in "$folder/private.pem" -pubout -out "$folder/public.pem"
