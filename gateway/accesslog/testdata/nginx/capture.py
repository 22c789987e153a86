"""Sends the requests of golden_test.go to an nginx running nginx.conf.

nginx -p "$PWD" -c nginx.conf & python3 capture.py; kill %1
"""
import socket

REQUESTS = [
    b'GET / HTTP/1.1\r\nHost: Example.COM:8080\r\nUser-Agent: curl/8\r\nReferer: http://r/\r\nConnection: close\r\n\r\n',
    b'GET /a/./b/../c//d%20e%2Ff?x=1&y=%20 HTTP/1.1\r\nHost: h\r\nUser-Agent: q"uo\\te\x01\x7f\xc3\xa9\ttab\r\nConnection: close\r\n\r\n',
    b'GET /static? HTTP/1.0\r\n\r\n',
    b'GET /gone?a HTTP/1.1\r\nHost: [::1]:80\r\nX-Empty:\r\nConnection: close\r\n\r\n',
    b'GET http://Abs.Example/p/%3fq?z#frag HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n',
    b'GET http://abs.example HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n',
    b'GET /x/..?u HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
    b'GET /x/y/.. HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
    b'GET /x/y/. HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
    b'GET /a%2e%2e/%2e%2e/b%23c%41 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
    b'GET /\xc3\xa9"\\ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
    b'POST /static HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde',
    b'\x16\x03\x01\x02\r\n\r\n',
    b'GET /sp ace"x HTTP/1.1 \r\n\r\n',
]

for request in REQUESTS:
    with socket.create_connection(('127.0.0.1', 18470)) as s:
        s.sendall(request)
        while s.recv(65536):
            pass
