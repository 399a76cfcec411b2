"""What a QUIC client sends to begin a connection, made by hand: as Python source that a guest runs.

    initial(ID, frames, …)   a datagram with one Initial packet (RFC 9001, RFC 9369)
    quic(address, datagrams) what came back, None for a refusal
"""

CLIENT = r"""
import hashlib, hmac, os, socket, struct
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

V1, V2 = 1, 0x6b3343cf
SALTS = {V1: '38762cf7f55934b34d179ae6a4c80cadccbb7f0a', V2: '0dede3def700a6db819381be6e269dcbf9bd2ed9'}

def expand(secret, label, size):
    label = b'tls13 ' + label
    info = struct.pack('!HB', size, len(label)) + label + b'\0\1'
    return hmac.new(secret, info, hashlib.sha256).digest()[:size]

def varint(value):
    return struct.pack('!I', value | 0x80000000)

def crypto(offset, data):
    return b'\6' + varint(offset) + varint(len(data)) + data

# `key_id`: the connection ID that the keys are made of, where that is not the one that it is sent to.
def initial(destination, frames, number=0, version=V1, key_id=None, salt_version=None):
    salt_version = salt_version or version
    salt = bytes.fromhex(SALTS[salt_version])
    client = expand(hmac.new(salt, key_id or destination, hashlib.sha256).digest(), b'client in', 32)
    word = b'quic ' if salt_version == V1 else b'quicv2 '
    key, iv, mask_key = expand(client, word + b'key', 16), expand(client, word + b'iv', 12), expand(client, word + b'hp', 16)
    frames = frames.ljust(1150, b'\0')
    first = 0xd1 if version == V2 else 0xc1
    header = (bytes([first]) + struct.pack('!IB', version, len(destination)) + destination + b'\0' + varint(0) +
              varint(2 + len(frames) + 16) + struct.pack('!H', number))
    nonce = (int.from_bytes(iv, 'big') ^ number).to_bytes(12, 'big')
    sealed = AESGCM(key).encrypt(nonce, frames, header)
    mask = Cipher(algorithms.AES(mask_key), modes.ECB()).encryptor().update(sealed[2:18])
    return (bytes([header[0] ^ mask[0] & 15]) + header[1:-2] + bytes([header[-2] ^ mask[1], header[-1] ^ mask[2]]) + sealed)

def hello_message(name, padding=0):
    entry = b'\0' + struct.pack('!H', len(name)) + name.encode()
    extensions = (struct.pack('!HHH', 0, len(entry) + 2, len(entry)) + entry if name else b'')
    extensions += struct.pack('!HH', 21, padding) + bytes(padding)
    body = b'\3\3' + b'r' * 32 + b'\0' + b'\0\2\x13\1' + b'\1\0' + struct.pack('!H', len(extensions)) + extensions
    return b'\1' + struct.pack('!I', len(body))[1:] + body

def whole(name, id=b'12345678', **more):
    return initial(id, crypto(0, hello_message(name)), **more)

# A hello over several datagrams.
def pieces(name, count=3, order=None, id=b'abcdefgh'):
    message = hello_message(name, 1200 * (count - 1))
    size = len(message) // count + 1
    all = [initial(id, crypto(at, message[at:at + size]), n) for n, at in enumerate(range(0, len(message), size))]
    return [all[i] for i in order or range(len(all))]

def quic_socket(address, port=443):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1.5)
    s.connect((address, port))
    return s

# True: the server has answered each of them; False: refused.
def quic(address, *datagrams, s=None):
    s = s or quic_socket(address)
    try:
        for datagram in datagrams:
            s.send(datagram)
        for datagram in datagrams:
            s.recv(100)
    except (OSError, socket.timeout):
        return False
    return True
"""
