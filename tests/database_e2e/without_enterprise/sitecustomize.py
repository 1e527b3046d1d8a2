"""On a proxy's PYTHONPATH: the package `litellm_enterprise` is not installed there."""

import sys


class NoEnterprisePackage:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "litellm_enterprise":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NoEnterprisePackage())
