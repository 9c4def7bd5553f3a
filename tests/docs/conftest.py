"""What the tests of several pages share."""

import subprocess

import pytest

collect_ignore = ["your_own"]  # run by test_your_own.py, where a reader has it: beside server.py


def openssl(folder, *arguments):
    """Run openssl in `folder`."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with an authority's certificate, and a key and a certificate by it for server and client."""
    folder = tmp_path_factory.mktemp("certificates")
    request = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(folder, *request, "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for name in ("server", "client"):
        openssl(folder, *request, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(folder, *signed, "-extfile", "names", "-out", f"{name}.pem")
    return folder
