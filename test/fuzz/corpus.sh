#!/bin/sh
# Makes the seeds that fuzzing starts from, with OpenSSL: `sh test/fuzz/corpus.sh`. They are kept as files, so that a run
# comes again with its seed; keys stay nowhere. Names are made up.
set -eu
here=$(cd "$(dirname "$0")" && pwd)/corpus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p "$here/certificate" "$here/crl" "$here/ocsp" "$here/bundle"

cat > ca.cnf <<'CNF'
[ca]
default_ca = house
[house]
database = index.txt
serial = serial
crlnumber = crlnumber
new_certs_dir = .
default_md = sha256
default_days = 3650
default_crl_days = 30
policy = any
copy_extensions = none
unique_subject = no
[any]
countryName = optional
organizationName = optional
commonName = optional
emailAddress = optional
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[middle]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
certificatePolicies = 1.3.6.1.4.1.41179.0.1.2,2.5.29.32.0,@notice
policyMappings = 1.3.6.1.4.1.41179.0.1.2:1.3.6.1.4.1.41179.1.3
policyConstraints = requireExplicitPolicy:3,inhibitPolicyMapping:1
inhibitAnyPolicy = 2
nameConstraints = critical,permitted;email:.clinic.example,permitted;DNS:clinic.example,permitted;dirName:base,excluded;URI:.other.example,excluded;IP:10.0.0.0/255.0.0.0
[base]
C = US
[notice]
policyIdentifier = 1.3.6.1.4.1.41179.2.1
CPS.1 = "http://ca.example/cps"
userNotice.1 = @words
[words]
explicitText = "Made up"
organization = "Example"
noticeNumbers = 1,2
[leaf]
basicConstraints = CA:false
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = emailProtection,clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer
subjectAltName = email:dr.sample@clinic.example,DNS:clinic.example,URI:urn:made-up,IP:10.1.2.3,dirName:base,RID:1.2.3.4,otherName:1.2.3;UTF8:x
authorityInfoAccess = OCSP;URI:http://ocsp.example/,caIssuers;URI:http://ca.example/ca.p7c
crlDistributionPoints = first,second
certificatePolicies = 1.3.6.1.4.1.41179.0.1.2
freshestCRL = URI:http://ca.example/delta.crl
[first]
fullname = URI:http://ca.example/a.crl,URI:ldap://ca.example/cn=a
reasons = keyCompromise,CACompromise
CRLissuer = dirName:base
[second]
relativename = relative
[relative]
CN = point
[domain]
keyUsage = keyEncipherment
subjectAltName = DNS:clinic.example
[crl]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical,@scope
[scope]
fullname = URI:http://ca.example/a.crl
onlyuser = TRUE
onlysomereasons = keyCompromise,superseded
[delta]
authorityKeyIdentifier = keyid
2.5.29.27 = critical,ASN1:INTEGER:1
[indirect]
issuingDistributionPoint = critical,@sweep
[sweep]
indirectCRL = TRUE
[responder]
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,OCSPSigning
noCheck = ignored
CNF
: > index.txt; echo 1000 > serial; echo 01 > crlnumber

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.pem"; }
issue() { # name section subject issuer
  openssl req -new -key "$1.pem" -subj "$3" -config req.cnf -out "$1.csr"
  openssl ca -batch -notext -config ca.cnf -extensions "$2" -in "$1.csr" -out "$1.crt" -cert "$4.crt" -keyfile "$4.pem" 2>/dev/null
}
printf '[req]\ndistinguished_name = name\n[name]\n' | cat - ca.cnf > req.cnf
key root; key middle; key leaf; key responder
openssl req -x509 -new -key root.pem -subj '/C=US/O=Example/CN=Root' -days 3650 -out root.crt -extensions root -config req.cnf
issue middle middle '/C=US/O=Example/CN=Middle' root
issue leaf leaf '/C=US/O=Example/CN=Dr. Sample/emailAddress=dr.sample@clinic.example' middle
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out domain.pem
issue domain domain '/C=US/O=Example/CN=clinic.example' middle
issue responder responder '/C=US/O=Example/CN=Responder' middle
openssl genpkey -quiet -algorithm ED25519 -out old.pem
openssl req -new -key old.pem -subj '/CN=Old' -config req.cnf -out old.csr
openssl x509 -req -in old.csr -CA root.crt -CAkey root.pem -days 3650 -out old.crt 2>/dev/null
for one in root middle leaf domain responder old; do openssl x509 -in $one.crt -outform DER -out "$here/certificate/$one.der"; done
openssl x509 -in leaf.crt -out "$here/certificate/leaf.pem"

crl() { openssl ca -batch -gencrl -config ca.cnf -cert middle.crt -keyfile middle.pem -out crl.pem "$@" 2>/dev/null; }
crl; openssl crl -in crl.pem -outform DER -out "$here/crl/empty.der"
openssl ca -config ca.cnf -cert middle.crt -keyfile middle.pem -revoke leaf.crt -crl_reason keyCompromise 2>/dev/null
openssl ca -config ca.cnf -cert middle.crt -keyfile middle.pem -revoke domain.crt -crl_hold holdInstructionReject 2>/dev/null
crl -crlexts crl; openssl crl -in crl.pem -outform DER -out "$here/crl/scoped.der"; cp crl.pem "$here/crl/scoped.pem"
crl -crlexts delta; openssl crl -in crl.pem -outform DER -out "$here/crl/delta.der"
crl -crlexts indirect; openssl crl -in crl.pem -outform DER -out "$here/crl/indirect.der"

answer() { # file arguments…
  file=$1; shift
  openssl ocsp -index index.txt -CA middle.crt -rsigner responder.crt -rkey responder.pem -reqin q.der -respout "$here/ocsp/$file.der" "$@" >/dev/null 2>&1
}
openssl ocsp -issuer middle.crt -cert leaf.crt -reqout q.der -no_nonce; answer revoked -ndays 3
openssl ocsp -issuer middle.crt -cert responder.crt -reqout q.der; answer good-nonce -nmin 60 -resp_key_id
openssl ocsp -issuer middle.crt -cert leaf.crt -cert responder.crt -sha256 -cert domain.crt -reqout q.der -no_nonce; answer several -resp_no_certs
openssl ocsp -issuer root.crt -cert middle.crt -reqout q.der -no_nonce; answer unknown
printf '\060\003\012\001\003' > "$here/ocsp/try-later.der"

openssl crl2pkcs7 -nocrl -certfile root.crt -certfile middle.crt -outform DER -out plain.p7b
cp plain.p7b "$here/bundle/plain.p7b"
openssl crl2pkcs7 -nocrl -certfile root.crt -out "$here/bundle/armoured.p7b"
cat root.crt middle.crt > "$here/bundle/list.pem"
openssl crl2pkcs7 -in "$here/crl/scoped.pem" -certfile root.crt -outform DER -out "$here/bundle/with-crl.p7b"
openssl cms -sign -binary -nodetach -in plain.p7b -signer leaf.crt -inkey leaf.pem -certfile middle.crt -outform DER -out "$here/bundle/signed.p7m"
openssl cms -sign -binary -nodetach -stream -in plain.p7b -signer leaf.crt -inkey leaf.pem -outform DER -out "$here/bundle/streamed.p7m"
openssl cms -sign -binary -nodetach -in plain.p7b -signer domain.crt -inkey domain.pem -keyid -keyopt rsa_padding_mode:pss -outform PEM -out "$here/bundle/pss.pem"
printf '<TrustBundle xmlns="urn:made-up" name="Sample"><profile>DirectTrust</profile><DistributionPoint url="http://ca.example/b.p7b"/><anchor id="1">Root &amp; more</anchor></TrustBundle>' > metadata.xml
cp metadata.xml "$here/bundle/metadata.xml"
openssl cms -sign -binary -nodetach -noattr -in metadata.xml -signer leaf.crt -inkey leaf.pem -certfile root.crt -outform DER -out "$here/bundle/metadata.p7m"
find "$here" -type f | wc -l
