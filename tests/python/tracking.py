"""Runs a small pipeline that is tracked, and reads what it leaves with TensorBoard's and MLflow's own packages.

    pip install tensorboard mlflow
    python tracking.py PATH/TO/refire

The MLflow server is a real one, on loopback.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

# A proxy for the loopback interface is no help.
os.environ.update(NO_PROXY="127.0.0.1", MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")

import mlflow
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

REFIRE = Path(sys.argv[1]).resolve()
TINY_BERT = Path(__file__).parent.parent / "data" / "tiny-bert"

PIPELINE = """
[pipeline]
name = "tracked"
seed = 3

[params]
rates = [0.05, 0.01]

[tracking]
tensorboard = "curves"
mlflow = "http://127.0.0.1:{port}"
experiment = "first tries"

[stage.encoder]
kind = "pretrained"
source = "{model}"
files = ["config.json", "model.safetensors", "tokenizer.json"]

[stage.reviews]
kind = "dataset"
source = "reviews.csv"

[stage.parts]
kind = "split"
table = "reviews"
parts = {{ train = 0.7, test = 0.3 }}

[stage.tune]
kind = "finetune"
model = "encoder"
train = "parts.train"
validation = "parts.test"
task = "text-classification"
epochs = 3
batch_size = 8
learning_rate = "${{matrix.rate}}"
matrix = {{ rate = "${{params.rates}}" }}

[stage.test]
kind = "evaluate"
model = "tune@rate=0.05"
table = "parts.test"
"""


def refire(folder, *arguments):
    ran = subprocess.run([REFIRE, *arguments], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def project(folder, port):
    rows = [f"{word} {thing} {number},{label}" for number in range(6) for word, label in (("good", "yes"), ("awful", "no")) for thing in ("food", "film", "plot")]
    (folder / "reviews.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    (folder / "refire.toml").write_text(PIPELINE.format(port=port, model=TINY_BERT))


def served(folder, port):
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/store.db", "--artifacts-destination", str(folder / "artifacts")]
    log = open(folder / "server.log", "w")
    server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).read()
            return server
        except OSError:
            assert server.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.5)
    raise AssertionError("the server does not answer")


def check_tensorboard(folder):
    (run,) = (folder / "curves").iterdir()
    assert sorted(stage.name for stage in run.iterdir()) == ["test", "tune@rate=0.01", "tune@rate=0.05"]
    tune = EventAccumulator(str(run / "tune@rate=0.05")).Reload()
    scalars = tune.Tags()["scalars"]
    for name in ("loss", "learning_rate", "gradient_norm", "train_loss", "validation/accuracy", "figures/train_loss"):
        assert name in scalars, scalars
    losses = tune.Scalars("loss")
    assert [point.step for point in losses] == list(range(1, len(losses) + 1))
    assert len(tune.Scalars("validation/accuracy")) == 3
    start = plugin_data_pb2.HParamsPluginData.FromString(tune.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    hparams = start.session_start_info.hparams
    assert hparams["learning_rate"].number_value == 0.05 and hparams["task"].string_value == "text-classification", hparams
    test = EventAccumulator(str(run / "test")).Reload()
    (matrix,) = test.Tensors("confusion")
    assert b"| **yes** |" in matrix.tensor_proto.string_val[0], matrix
    assert 0 <= test.Scalars("figures/accuracy")[0].value <= 1
    print("TensorBoard:", len(losses), "steps, scalars:", ", ".join(scalars))


def check_mlflow(folder, port):
    mlflow.set_tracking_uri(f"http://127.0.0.1:{port}")
    client = MlflowClient()
    experiment = client.get_experiment_by_name("first tries")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 4 and all(run.info.status == "FINISHED" for run in runs), runs
    by_name = {run.info.run_name: run for run in runs}
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.data.params["rates"] == "[0.05, 0.01]" and 0 <= parent.data.metrics["test/accuracy"] <= 1
    tune = by_name["tune@rate=0.05"]
    assert tune.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert tune.data.params["learning_rate"] == "0.05" and len(tune.data.tags["refire.key"]) > 20, tune.data
    history = client.get_metric_history(tune.info.run_id, "loss")
    assert [point.step for point in sorted(history, key=lambda point: point.step)] == list(range(1, len(history) + 1))
    files = {file.path for file in client.list_artifacts(tune.info.run_id)}
    assert files == {"history.jsonl", "model"}, files
    fetched = client.download_artifacts(tune.info.run_id, "model", str(folder))
    refire(folder, "get", "tune@rate=0.05", "mine")
    for name in ("config.json", "refire.json", "model.safetensors"):
        assert (Path(fetched) / name).read_bytes() == (folder / "mine" / name).read_bytes(), name
    assert {file.path for file in client.list_artifacts(by_name["test"].info.run_id)} == {"metrics.json"}
    print("MLflow:", len(runs), "runs,", len(history), "steps,", "model fetched")


def main():
    folder = Path(tempfile.mkdtemp(prefix="refire-tracking-"))
    port = free_port()
    project(folder, port)
    told = refire(folder, "run")
    assert "could not be sent to mlflow" in told, told
    check_tensorboard(folder)
    server = served(folder, port)
    try:
        # The run that the server did not hear of is sent with the next one, which has nothing to do itself.
        told = refire(folder, "run")
        assert "could not be sent" not in told, told
        check_mlflow(folder, port)
        assert not list((folder / ".refire" / "outbox").rglob("*.json"))
    finally:
        os.killpg(server.pid, 15)
        server.wait()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
