#!/bin/sh
# Make a self-signed certificate for the host of PUBLIC_URL, unless there is a certificate already.
#   certificate.sh DIRECTORY [OWNER]
# A certificate of one's own is kept as it is. One that was made here is made anew a month before it ends, or for
# another host: `self-signed` beside it names the host that it is for.
set -eu
umask 077
cd "$1"

host=${PUBLIC_URL#*://}
host=${host%%/*}
case $host in
"["*) host=${host#?} host=${host%%"]"*} name=IP:$host ;;
*) host=${host%%:*} name=DNS:$host ;;
esac
case $host in
*[!0-9.]*) ;;
*) name=IP:$host ;;
esac

if [ -s server.crt ] && [ -s server.key ]; then
    if [ ! -e self-signed ]; then
        exit 0
    fi
    if [ "$(cat self-signed)" = "$name" ] && openssl x509 -in server.crt -noout -checkend 2592000 >/dev/null; then
        exit 0
    fi
fi

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -subj "/CN=NoteAssist AI" \
    -addext "subjectAltName=$name,DNS:localhost,IP:127.0.0.1" \
    -addext "basicConstraints=critical,CA:FALSE" -addext "extendedKeyUsage=serverAuth" \
    -keyout server.key.new -out server.crt.new 2>/dev/null
if [ -n "${2:-}" ]; then
    chown "$2" . server.key.new server.crt.new
fi
printf '%s\n' "$name" >self-signed
mv server.key.new server.key
mv server.crt.new server.crt
echo "Made a self-signed certificate for $host."
