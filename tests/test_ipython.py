"""The IPython extension in real kernels: what each cell did, findings, exceptions, re-runs."""

import os
import sys

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = {
    "load": "%load_ext steplens\nimport torch\nfrom torch import nn",
    "make": (
        "model = nn.Linear(2, 1)\nopt = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "x = torch.ones(1, 2)"
    ),
    "nothing": "1 + 1",
    "backward": "loss = model(x).sum()\nloss.backward()",
    "timed": "%%time\nopt.step()\nmodel.eval();",
    "finding": "for _ in range(3):\n    model(x).sum().backward()\n    opt.step()",
    "awaited": "import asyncio\nawait asyncio.sleep(0)\nmodel.train()\nopt.zero_grad()",
    "raises": "model(x).sum().detach().backward()",
    "after": "import weakref, gc\nold = weakref.ref(model)\nmodel.eval();",
    "again": "model = nn.Linear(2, 1)\nopt = torch.optim.SGD(model.parameters(), lr=0.1)",
    "gone": "del loss\ngc.collect()\nprint(old() is None)",
    "named": "model(x).sum().backward()",
    "so far": "%steplens",
    "off": "%steplens off",
    "unheard": "model.train();",
    "is off": "%steplens",
    "wrong": "%steplens of",
    "on": "%steplens on",
    "heard": "model.eval();",
    "left": (
        "%unload_ext steplens\nip = get_ipython()\n"
        "print('cache' in vars(ip.compile), 'run_cell_magic' in vars(ip), nn.Module.train)"
    ),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, str]]]:
    """What each cell gave: streams, errors, and the data of what it displayed."""
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS.values()]
    )
    folder = tmp_path_factory.mktemp("kernel")
    env = {
        **os.environ,
        "PYTHONPATH": ":".join(sys.path),
        "IPYTHONDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    client = NotebookClient(
        book, kernel_name="python3", timeout=120, allow_errors=True, resources={}
    )
    client.execute(env=env, cwd=str(folder))
    found: dict[str, list[dict[str, str]]] = {}
    for name, cell in zip(CELLS, book.cells, strict=True):
        found[name] = []
        for output in cell.outputs:
            if output.output_type == "stream":
                found[name].append({"stream": output.text})
            elif output.output_type == "error":
                found[name].append({"error": output.ename})
            else:
                found[name].append(dict(output.data))
    return found


def shown(said: dict[str, list[dict[str, str]]], name: str) -> str:
    """The text of what steplens displayed under a cell."""
    return "\n".join(each["text/plain"] for each in said[name] if "text/html" in each)


def test_a_cell_shows_what_it_did_to_the_state_and_only_then(said):
    assert shown(said, "backward").splitlines() == [
        "In [4]: 1 forward, 1 backward",
        "  :2      loss.backward()",
        "      weight.grad  None -> [[1, 1]]",
        "      bias.grad    None -> [1]",
    ]
    assert "model = nn.Linear(2, 1)" in shown(said, "make")
    assert said["nothing"] == [{"text/plain": "2"}]
    assert said["load"] == []


def test_it_is_shown_as_html_too(said):
    html = said["backward"][0]["text/html"]
    assert html.startswith("<pre")
    assert "loss.backward()</span>" in html
    assert "None -&gt; [[1, 1]]" in html


def test_timed_and_awaited_cells_have_their_lines(said):
    timed = shown(said, "timed")
    assert "  :2      opt.step()\n" in timed
    assert "  :3      model.eval();\n      model  train -> eval" in timed
    awaited = shown(said, "awaited")
    assert "  :3      model.train()\n      model  eval -> train" in awaited
    assert "  :4      opt.zero_grad()\n      weight.grad  [[4, 4]] -> None" in awaited


def test_a_finding_is_shown_as_it_happens_and_once(said):
    first, last = said["finding"]
    assert first["text/plain"].startswith("error[SL201 gradients-never-cleared]")
    assert " --> In[6]:3:5" in first["text/plain"]
    assert last["text/plain"].startswith("In [6]: 3 forwards, 3 backwards, 3 steps")
    assert not any("SL201" in shown(said, name) for name in CELLS if name != "finding")


def test_an_exception_is_explained_and_the_next_cells_are_watched(said):
    error, told = said["raises"]
    assert error == {"error": "RuntimeError"}
    assert "error[SL210 backward-without-graph]" in told["text/plain"]
    assert "model  train -> eval" in shown(said, "after")


def test_the_model_of_the_old_run_is_let_go_and_its_name_given_anew(said):
    assert said["gone"] == [{"stream": "True\n"}]
    assert "model.weight.grad  None -> [[1, 1]]" in shown(said, "named")
    assert "#2" not in shown(said, "named")


def test_the_magic_shows_the_timeline_and_switches(said):
    so_far = shown(said, "so far")
    assert so_far.startswith("timeline of In: ")
    assert "  [4]:2   loss.backward()" in so_far
    assert said["unheard"] == []
    assert "`%steplens on` begins to watch" in said["is off"][0]["stream"]
    assert "`of` is no word of `%steplens`" in said["wrong"][0]["stream"]
    assert "model  train -> eval" in shown(said, "heard")


def test_nothing_of_it_is_left_in_the_kernel(said):
    words = "".join(output.get("stream", "") for output in said["left"])  # it comes in parts
    assert "False False <function Module.train" in words
    assert "wrapper" not in words
