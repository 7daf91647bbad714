# $SECRET, $ID, $TIMESTAMP as they came; body.json holds exactly the bytes of the body.
KEY=$(printf %s "${SECRET#whsec_}" | openssl base64 -d -A | od -An -tx1 | tr -d ' \n')
{ printf %s "$ID.$TIMESTAMP."; cat body.json; } |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | openssl base64 -A
