"""Certificates that must be refused, made with the openssl tool and, where that helps, with the mesh's own CA key."""

import base64
import datetime
import hashlib
import pathlib
import socket
import ssl
import subprocess

# HTTP/2: the client's preface and an empty SETTINGS frame.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)


def openssl(*words, **options):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, timeout=30, **options)
    assert done.returncode == 0, f"openssl {' '.join(map(str, words))}: {done.stderr.decode()}"
    return done.stdout


def peer_id(key):
    """The id that belongs to a private key file."""
    spki = openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
    return base64.b32encode(hashlib.sha256(spki).digest()).decode().lower().rstrip("=")


def time_text(days):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return at.strftime("%Y%m%d%H%M%SZ")


class Root:
    """Somebody who signs: the CA of a mesh, or an impostor."""

    def __init__(self, directory, key=None, certificate=None):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(exist_ok=True)
        self.key, self.certificate = key, certificate
        self._count = 0
        (self.dir / "index").write_text("")
        (self.dir / "serial").write_text("1000\n")
        if key is None:
            self.key, self.certificate = self.dir / "root-key.pem", self.dir / "root.pem"
            self.make_key(self.key)
            config = self._write("root.cnf", """
[req]
distinguished_name=dn
prompt=no
x509_extensions=ext
[dn]
CN=impostor
[ext]
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash
""")
            openssl("req", "-x509", "-new", "-key", self.key, "-days", "10", "-config", config,
                    "-out", self.certificate)

    def _write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    @staticmethod
    def make_key(path, kind=("EC", "ec_paramgen_curve:P-256")):
        openssl("genpkey", "-algorithm", kind[0], "-pkeyopt", kind[1], "-out", path)

    def issue(self, mesh_id, role="peer", name="mallory", uris=None, ids=None, names=None, begin=-1, end=5,
              usage="serverAuth,clientAuth", ca="FALSE", key_kind=("EC", "ec_paramgen_curve:P-256"), self_signed=False, key_file=None):
        """A key (or `key_file`) and a certificate like those of the mesh but for what the arguments say. Returns their
        paths."""
        self._count += 1
        stem = f"{name}{self._count}"
        key, request, certificate = (self.dir / f"{stem}.{kind}" for kind in ("key", "csr", "pem"))
        if key_file is None:
            self.make_key(key, key_kind)
        else:
            key = pathlib.Path(key_file)
        identity = ids or peer_id(key)
        uris = [f"spiffe://{mesh_id}/{role}/{identity}"] if uris is None else uris
        names = [f"{name}.{mesh_id}"] if names is None else names
        sans = ",".join([*(f"URI:{uri}" for uri in uris), *(f"DNS:{dns}" for dns in names)])
        config = self._write(f"{stem}.cnf", f"""
[req]
distinguished_name=dn
prompt=no
[dn]
CN={name}
[ca]
default_ca=default
[default]
database={self.dir}/index
serial={self.dir}/serial
new_certs_dir={self.dir}
default_md=sha256
policy=any
unique_subject=no
[any]
commonName=optional
[ext]
basicConstraints=critical,CA:{ca}
keyUsage=critical,digitalSignature
extendedKeyUsage={usage}
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
{"subjectAltName=" + sans if sans else ""}
""")
        openssl("req", "-new", "-key", key, "-config", config, "-out", request)
        signer = ["-selfsign", "-keyfile", key] if self_signed else ["-keyfile", self.key, "-cert", self.certificate]
        openssl("ca", "-batch", "-notext", "-config", config, "-extensions", "ext", "-in", request, "-out", certificate,
                "-startdate", time_text(begin), "-enddate", time_text(end), *signer)
        return key, certificate


def connect(address, source):
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=10, source_address=(source, 0))


def handshake(address, key=None, certificate=None, source="127.0.0.1", newest=ssl.TLSVersion.TLSv1_3):
    """Tries a TLS connection and HTTP/2 on it. Returns "" if the other side talks to us, else how it refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    context.set_alpn_protocols(["h2"])
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    try:
        with connect(address, source) as raw, context.wrap_socket(raw) as wrapped:
            wrapped.sendall(PREFACE)
            answer = wrapped.recv(9)
    except (ssl.SSLError, OSError) as error:
        return str(error) or type(error).__name__
    if not answer:
        return "closed"
    assert answer[3] == 4, f"not a SETTINGS frame: {answer!r}"
    return ""


def served_certificate(address, key, certificate):
    """The certificate that a new connection to `address` is shown (DER)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(certificate, key)
    with connect(address, "127.0.0.1") as raw, context.wrap_socket(raw) as wrapped:
        return wrapped.getpeercert(binary_form=True)
