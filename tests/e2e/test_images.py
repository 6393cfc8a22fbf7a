"""Every image as it was built: who it runs as, what it says of itself, and that nothing secret is in it."""

import json
import re
import time

import docker
import pytest

from support.containers import RELEASE

IMAGES = ("airflow", "aws-local", "cli", "dbt", "extract", "glue", "minio", "purchase-api", "superset", "transform")
STAGES = ("cli", "dbt", "extract", "transform")
# A key's first line by itself, or with key material behind it; not the words in somebody's code.
PRIVATE_KEY = r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----(\\n[A-Za-z0-9+/]{40}.*)?$"
AWS_KEY = r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"
# AWS's own example, which its SDK's documents show.
EXAMPLES = re.compile(r"EXAMPLE")
PRIVATE_FILES = (".env", ".git", ".aws", ".netrc", ".pgpass", "pip.conf", ".npmrc", "id_rsa", "id_ed25519", ".docker")


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return docker.from_env()


def inside(engine: docker.DockerClient, image: str, *command: str) -> str:
    """What a command says in a container of the image, without network and as root, who can read everything."""
    said: bytes = engine.containers.run(
        f"deftunes/{image}:{RELEASE}", list(command[1:]), entrypoint=command[0], user="0:0", network_mode="none",
        remove=True,
    )  # fmt: skip
    return said.decode()


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_nobody_and_says_what_it_is(engine: docker.DockerClient, image: str) -> None:
    config = engine.images.get(f"deftunes/{image}:{RELEASE}").attrs["Config"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", config["User"])
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == RELEASE
    assert re.fullmatch(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.title"] == f"deftunes/{image}"
    assert not re.search("PASSWORD|SECRET|TOKEN", " ".join(config["Env"]))


def keys_in(engine: docker.DockerClient, image: str, before: str = "true") -> list[str]:
    """Lines that hold a private key or a key of AWS, after a command has run."""
    hits = inside(
        engine, image, "bash", "-c",
        before + ' && { grep -rIE --devices=skip --exclude-dir={proc,sys,dev} -e "$0" / || [ $? = 1 ]; }',
        f"{PRIVATE_KEY}|{AWS_KEY}",
    )  # fmt: skip
    return [line[:200] for line in hits.splitlines() if not EXAMPLES.search(line)]


@pytest.mark.parametrize("image", IMAGES)
def test_no_secret_is_in_an_image(engine: docker.DockerClient, image: str) -> None:
    names = [word for name in PRIVATE_FILES for word in ("-o", "-name", name)][1:]
    found = inside(engine, image, "find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", ")", "-prune",
                   "-o", "(", *names, ")", "-print")  # fmt: skip
    assert found == ""
    assert keys_in(engine, image) == []


@pytest.mark.parametrize("secret", ["-----BEGIN OPENSSH PRIVATE KEY-----", "key = AKIA" + "ABCDEFGHIJKLMNOP"])
def test_a_secret_in_an_image_is_found(engine: docker.DockerClient, secret: str) -> None:
    assert keys_in(engine, "minio", f"echo '{secret}' > /var/kept") == [f"/var/kept:{secret}"]


@pytest.mark.parametrize("image", STAGES)
def test_a_stage_needs_no_file_system_of_its_own_to_write_to(engine: docker.DockerClient, image: str) -> None:
    said = engine.containers.run(
        f"deftunes/{image}:{RELEASE}", ["extract", "--help"], read_only=True, remove=True, cap_drop=["ALL"]
    )
    assert b"--start" in said


STAGES_AT_WORK = {
    "cli": "extract sessions", "dbt": "load sessions", "extract": "extract sessions", "transform": "transform sessions"
}  # fmt: skip


@pytest.mark.parametrize("image", STAGES)
@pytest.mark.parametrize("seconds", [0.3, 4])  # while it imports, and while it waits for an answer
def test_a_stage_ends_when_it_is_asked_to(engine: docker.DockerClient, image: str, seconds: float) -> None:
    """Without an init: the first process of a container hears no signal that it does not listen to."""
    container = engine.containers.run(
        f"deftunes/{image}:{RELEASE}",
        [*STAGES_AT_WORK[image].split(), "--start", "2020-01-01", "--end", "2020-01-02"],
        environment={
            "AWS_REGION": "us-east-1",
            "DEFTUNES_EMBEDDED": "false",
            "DEFTUNES_LAKE": "s3://lake",
            "AWS_ENDPOINT_URL": "http://192.0.2.1:4566",  # nobody's, for documents: a call waits
            "AWS_ENDPOINT_URL_S3": "http://192.0.2.1:9000",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "DEFTUNES_API_URL": "http://192.0.2.1",
            "DEFTUNES_WAREHOUSE_DSN": "postgresql://192.0.2.1/none",
        },
        detach=True,
    )
    try:
        time.sleep(seconds)
        began = time.monotonic()
        container.stop(timeout=20)
        assert time.monotonic() - began < 8
        assert container.wait()["StatusCode"] == 143
    finally:
        container.remove(force=True)


@pytest.mark.parametrize("image", ["dbt", "extract", "superset", "transform"])
def test_a_mounted_work_folder_belongs_to_everybody(engine: docker.DockerClient, image: str) -> None:
    """An empty volume takes the mode of what it covers in the image, on Fargate only where that is declared."""
    assert list(engine.images.get(f"deftunes/{image}:{RELEASE}").attrs["Config"]["Volumes"]) == ["/tmp"]
    said = engine.containers.run(
        f"deftunes/{image}:{RELEASE}", ["-c", "stat -c %a /tmp && touch /tmp/written"], entrypoint="sh", remove=True,
        read_only=True, cap_drop=["ALL"], mounts=[docker.types.Mount(target="/tmp", source=None, type="volume")],
    )  # fmt: skip
    assert said.decode().split() == ["1777"]


@pytest.mark.parametrize(("image", "bytes_at_most"), [("extract", 350_000_000), ("transform", 530_000_000)])
def test_an_image_without_spark_is_small(engine: docker.DockerClient, image: str, bytes_at_most: int) -> None:
    assert engine.images.get(f"deftunes/{image}:{RELEASE}").attrs["Size"] < bytes_at_most


def test_transform_has_no_java(engine: docker.DockerClient) -> None:
    assert inside(engine, "transform", "find", "/", "-xdev", "-name", "java*", "-path", "*bin/java*") == ""
    assert "/java" in inside(engine, "glue", "find", "/", "-xdev", "-name", "java", "-path", "*bin/java")


# A warehouse's address as the stages have it, and an AWS that hands out a password which has expired, and then others.
LOG_IN = """
import http.server, json, threading, time
from sqlalchemy.engine import create_engine
from sqlalchemy.engine.url import make_url

asked = []

class Aws(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        lasts = 30 if len(asked) == 1 else 900
        said = {"dbUser": "IAMR:x", "dbPassword": f"no-{len(asked)}", "expiration": time.time() + lasts}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Aws)
threading.Thread(target=server.serve_forever, daemon=True).start()
import superset_config

host = "deftunes.123456789012.eu-central-1.redshift-serverless.amazonaws.com"
given = make_url(f"redshift://{host}:5439/deftunes?iam=true")
made = [superset_config.DB_CONNECTION_MUTATOR(given, {}, "", None, None)[0] for _ in range(3)]
engine = create_engine(made[-1])
_, options = engine.dialect.create_connect_args(made[-1])
print(json.dumps({
    "asked": asked, "passwords": [url.password for url in made], "dialect": engine.dialect.name,
    "options": {name: options[name] for name in ("host", "user", "database", "sslmode")}, "more": "iam" in options,
}))
"""


def test_superset_logs_in_to_redshift_as_its_role(engine: docker.DockerClient) -> None:
    said = engine.containers.run(
        f"deftunes/superset:{RELEASE}", ["python", "-W", "ignore", "-c", LOG_IN], network_mode="none", read_only=True,
        cap_drop=["ALL"], remove=True,
        environment={
            "SUPERSET_SECRET_KEY": "x" * 42, "SUPERSET_METADATA_URI": "sqlite://", "SUPERSET_WAREHOUSE_PASSWORD": "no",
            "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS": "http://127.0.0.1:8000",
        },
    )  # fmt: skip
    found = json.loads(said)
    question = {"workgroupName": "deftunes", "dbName": "deftunes", "durationSeconds": 900}
    assert found["asked"] == [question, question]  # the first password was about to expire, the second is used again
    assert found["passwords"] == ["no-1", "no-2", "no-2"]
    assert found["dialect"] == "redshift"
    assert found["more"] is False
    assert found["options"] == {
        "host": "deftunes.123456789012.eu-central-1.redshift-serverless.amazonaws.com", "user": "IAMR:x",
        "database": "deftunes", "sslmode": "verify-full",
    }  # fmt: skip
