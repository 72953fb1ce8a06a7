"""What a pod sees: every mounted object of a Deployment, written below a directory."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path

from homeserver_operator.api.world import Object, ObjectKey

_ABSOLUTE = re.compile(r"""(?<=[\s"'\[])/(config|secrets|files|media|run/homeserver|process)\b""")


def mount(template: Object, objects: Mapping[ObjectKey, Object], root: Path) -> None:
    """Write all that the template mounts below `root`; absolute paths in files lead there too."""
    spec = template["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for container in spec["containers"]:
        for mounted in container["volumeMounts"]:
            directory = root / mounted["mountPath"].lstrip("/")
            directory.mkdir(parents=True, exist_ok=True)
            for name, content in content_of(volumes[mounted["name"]], objects).items():
                (directory / name).write_bytes(content)
    for file in (*root.glob("config/*.yaml"), *root.glob("secrets/config*/*.yaml")):
        file.write_text(below(root, file.read_text()))


def content_of(volume: Object, objects: Mapping[ObjectKey, Object]) -> dict[str, bytes]:
    """The files of one volume; KeyError if its object is not there."""
    key = named_object(volume)
    if key is None or key.kind == "PersistentVolumeClaim":
        return {}
    found = objects[key]
    text = {name: value.encode() for name, value in found.get("data", {}).items()}
    if key.kind == "Secret":
        text = {name: base64.b64decode(value) for name, value in text.items()}
    encoded = found.get("binaryData", {})
    return text | {name: base64.b64decode(value) for name, value in encoded.items()}


def named_object(volume: Object) -> ObjectKey | None:
    """Which object a volume names, None for one of the pod's own."""
    if "configMap" in volume:
        return ObjectKey("ConfigMap", volume["configMap"]["name"])
    if "secret" in volume:
        return ObjectKey("Secret", volume["secret"]["secretName"])
    if "persistentVolumeClaim" in volume:
        return ObjectKey("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    return None


def below(root: Path, text: str) -> str:
    """The text with our absolute paths leading below `root`."""
    return _ABSOLUTE.sub(lambda found: f"{root}{found.group()}", text)
