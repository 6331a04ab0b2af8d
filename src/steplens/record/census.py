"""Census: which tensors, modules and optimizers are alive, and what the user calls them."""

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from steplens.model.roster import ModuleEntry, OptimizerEntry, Roster, TensorEntry
from steplens.model.site import Site
from steplens.record import members
from steplens.record.account import Account
from steplens.record.digest import dtype_name, shape_of
from steplens.record.exchanged import gathers
from steplens.record.labels import Labels, known_as
from steplens.record.naming import Spot, global_name, made_as, spots
from steplens.record.numbers import Numbers
from steplens.record.places import Places
from steplens.record.plain import plain
from steplens.record.sensitive import depends_on_mode, keeps_statistics


class Census:
    """Gives every tensor, module and optimizer its number, and keeps the Roster's names right.

    Everything is held weakly: nothing lives longer because it is watched. Identity is an id whose
    weak reference still points to the same object, as ids are used again after an object dies.
    """

    def __init__(self, roster: Roster, places: Places) -> None:
        self.roster = roster
        self.places = places
        self.accounts: dict[int, Account] = {}
        self.modules: dict[int, tuple[weakref.ref[nn.Module], int]] = {}
        self.optimizers: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.copied = weakref.WeakKeyDictionary[Any, Site | None]()  # optimizers, by their copy
        self.born: dict[int, weakref.ref[nn.Module]] = {}
        self.made: dict[int, tuple[Spot, ...]] = {}  # the user's lines that made a module
        self.labels = Labels()
        self.names_again = False  # give a name anew once those that bore it have died
        self.by_number: dict[int, weakref.ref[nn.Module]] = {}
        self.numbers = {kind: Numbers() for kind in ("tensor", "module", "optimizer")}
        self.again: Callable[[str, int], None] = lambda kind, number: None  # a number given again
        self.stale_names = True
        self.sizes: dict[int, int] = {}  # modules in each tree, while one is entered
        self.changes = 0  # grows whenever anything comes, goes or is named anew
        self.steps = 0  # optimizer steps that have ended
        self.replaced: dict[int, tuple[weakref.ref[torch.Tensor], Site | None, bool]] = {}

    def meet(self, objects: Iterable[Any], search: bool = True) -> None:
        """Enter models and optimizers that were made before the watch began: the given ones and,
        with ``search``, any still alive: a look at every object there is, a tenth of a second."""
        kinds: dict[type, int] = {}  # 1 for modules, 2 for optimizers, 0 for all else
        for found in [*objects, *(gc.get_objects() if search else ())]:
            kind = kinds.get(type(found))
            if kind is None:
                module = issubclass(type(found), nn.Module)
                optimizer = issubclass(type(found), torch.optim.Optimizer)
                kind = kinds[type(found)] = 1 if module else 2 if optimizer else 0
            if kind == 1 and id(found) not in self.born:
                self.module_born(found)
            elif kind == 2 and hasattr(found, "param_groups"):
                self.enter_groups(found, self.optimizer(found))
        if self.born:
            self.enter_trees()

    # -- modules ------------------------------------------------------------------------------

    def module_born(self, module: nn.Module, made: tuple[Spot, ...] = ()) -> None:
        """Remember that a module exists and which lines made it; its place in a tree is looked at
        when it is first needed."""
        key = id(module)
        self.born[key] = weakref.ref(module, lambda _: self._died(key))
        self.made[key] = made
        self.stale_names = True

    def _died(self, key: int) -> None:
        self.born.pop(key, None)
        self.made.pop(key, None)

    def alive(self) -> Iterator[nn.Module]:
        """All modules known to be alive and made to their end."""
        for reference in list(self.born.values()):
            module = reference()
            if module is not None and _whole(module):
                yield module

    def module(self, module: nn.Module) -> int:
        """The number of a module; its whole tree is entered when it is new."""
        known = self.modules.get(id(module))
        if known is not None and known[0]() is module:
            return known[1]
        if id(module) not in self.born:
            for child in members.modules(module):
                self.module_born(child)
        self.enter_trees()
        known = self.modules.get(id(module))
        if known is None or known[0]() is not module:
            self._enter_tree(module, self.label(module))
            known = self.modules[id(module)]
        return known[1]

    def known_module(self, module: nn.Module) -> int:
        """The module's number if it has one, else -1; cheap."""
        known = self.modules.get(id(module))
        return known[1] if known is not None and known[0]() is module else -1

    def module_at(self, number: int) -> nn.Module | None:
        """The live module of this number."""
        reference = self.by_number.get(number)
        return reference() if reference is not None else None

    def enter_trees(self) -> None:
        """Enter every live module under the outermost module that holds it, and name all tensors
        anew."""
        living = list(self.alive())
        children = {
            id(child)
            for module in living
            for child in module._modules.values()
            if child is not None
        }
        roots = [module for module in living if id(module) not in children]
        for child in children:  # one met while the module that holds it was not yet made
            self._no_longer_outermost(child)
        for root in roots:
            if (root._modules or root._parameters or root._buffers) and not self._entered(root):
                self._enter_tree(root, self.label(root))
        self.changes += 1
        self.stale_names = False

    def _entered(self, root: nn.Module) -> bool:
        """Whether a module that holds no other is entered as it is: a list being made has many."""
        number = self.known_module(root)
        entry = self.roster.modules.get(number)
        if entry is None or root._modules or entry.root != number or not entry.label:
            return False
        for own, tensor in [*root._parameters.items(), *root._buffers.items()]:
            account = self.known(tensor) if tensor is not None else None
            known = self.roster.tensors[account.number] if account is not None else None
            held = known is not None and (known.root, known.module, known.name)
            if tensor is not None and held != (number, number, own):
                return False
        entry.sensitive, entry.norm = depends_on_mode(root), keeps_statistics(root)
        return True

    def _enter_tree(self, root: nn.Module, label: str) -> None:
        self.changes += 1
        self.sizes.clear()
        root_number = self._number_module(root)
        parents: dict[str, int] = {}
        shown: dict[str, str] = {}  # what the user calls each path
        for path, module in members.named_modules(root):
            number = self._number_module(module, path)
            parents[path] = number
            above, _, last = path.rpartition(".")
            parent = parents.get(above, -1) if path else -1
            entry = self.roster.modules[number]
            holder = self.roster.modules[parent].type if parent >= 0 else ""
            name = shown[path] = known_as(shown.get(above, ""), last, holder)
            entry.name, entry.label, entry.root, entry.parent = name, label, root_number, parent
            entry.sensitive, entry.norm = depends_on_mode(module), keeps_statistics(module)
            prefix = f"{name}." if name else ""
            held: list[int] = []
            for role, table in (("parameter", module._parameters), ("buffer", module._buffers)):
                for own, tensor in table.items():
                    if isinstance(tensor, torch.Tensor):
                        account = self._name_tensor(tensor, prefix + own, role, number, root_number)
                        if role == "parameter":
                            held.append(account.number)
            entry.tensors = tuple(held)

    def _gone(self, number: int) -> None:
        self.by_number.pop(number, None)
        self.numbers["module"].give_back(number)

    def _take(self, kind: str, key: tuple[Any, ...]) -> int:
        number, again = self.numbers[kind].take(key)
        if again:
            self.again(kind, number)
        return number

    def _number_module(self, module: nn.Module, name: str = "") -> int:
        known = self.modules.get(id(module))
        if known is not None and known[0]() is module:
            return known[1]
        key = id(module)
        made = self.made.get(key, ())
        site = self.places.at(*made[0]) if made else None
        number = self._take("module", (site, type(module).__name__, name))
        self.modules[key] = (
            weakref.ref(module, lambda _, key=key: self.modules.pop(key, None)),
            number,
        )
        self.by_number[number] = weakref.ref(module, lambda _: self._gone(number))
        self.roster.modules[number] = ModuleEntry(
            number, "", type(module).__name__, site=site, training=bool(module.training)
        )
        return number

    def label(self, module: nn.Module) -> str:
        """What the user calls an outermost module: the variable that received it, else its class.

        Several that share a name (made in a loop) are told apart by a number.
        """
        known = self.modules.get(id(module))
        entry = self.roster.modules[known[1]] if known is not None else None
        if entry is not None and entry.label and entry.root == entry.number:
            return entry.label
        if self.names_again:
            self.labels.keep(lambda number: self.module_at(number) is not None)
        name = made_as(self.made.get(id(module), ())) or global_name(self.places, module)
        return self.labels.take(name or type(module).__name__, self._number_module(module))

    def _no_longer_outermost(self, key: int) -> None:
        """Give back the name of a module that another one has come to hold."""
        number = self.modules[key][1] if key in self.modules else -1
        entry = self.roster.modules.get(number)
        if entry is not None and entry.root == number:
            self.labels.give_back(entry.label, number)

    # -- tensors ------------------------------------------------------------------------------

    def account(self, tensor: torch.Tensor) -> Account:
        """The Account of a leaf or parameter; a new one for a tensor not met before."""
        known = self.accounts.get(id(tensor))
        if known is not None and known.ref() is tensor:
            return known
        if self.stale_names:
            self.enter_trees()
            known = self.accounts.get(id(tensor))
            if known is not None and known.ref() is tensor:
                return known
        return self._new_account(tensor, "", "leaf", -1, -1)

    def known(self, tensor: torch.Tensor) -> Account | None:
        """The Account of a tensor met before."""
        found = self.accounts.get(id(tensor))
        return found if found is not None and found.ref() is tensor else None

    def registered(self, tensor: torch.Tensor, site: Site | None, for_frozen: bool) -> None:
        """A Parameter has taken the place of another at this line; ``for_frozen`` says that it
        requires a gradient and the other did not."""
        key = id(tensor)
        reference = weakref.ref(tensor, lambda _: self.replaced.pop(key, None))
        self.replaced[key] = (reference, site, for_frozen)

    def _site_of(self, tensor: torch.Tensor, role: str, module: int) -> Site | None:
        """The line that made a leaf, put a Parameter in the place of another, or made the module
        that holds it."""
        if role == "leaf":
            return self.places.site(1)
        known = self.replaced.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[1]
        return self.roster.modules[module].site if module in self.roster.modules else None

    def _new_account(
        self, tensor: torch.Tensor, name: str, role: str, module: int, root: int
    ) -> Account:
        site, shape = self._site_of(tensor, role, module), shape_of(tensor)
        number = self._take("tensor", (site, role, module, name, shape, tensor.dtype))
        key = id(tensor)
        account = Account(weakref.ref(tensor, lambda _: self._forget(key, number)), number)
        self.accounts[key] = account
        self.changes += 1
        if not name:
            name = global_name(self.places, tensor) or f"leaf{number}"
        self.roster.tensors[number] = TensorEntry(
            number,
            name,
            role,
            shape,
            dtype_name(tensor.dtype),
            tensor.requires_grad,
            module,
            root,
            (name,),
            site,
        )
        known = self.replaced.get(key)
        if known is not None and known[0]() is tensor:
            self.roster.tensors[number].for_frozen = known[2]
        return account

    def _forget(self, key: int, number: int) -> None:
        self.changes += 1
        account = self.accounts.get(key)
        if account is not None and account.number == number:
            del self.accounts[key]
        entry = self.roster.tensors.get(number)
        if entry is not None:
            entry.died = self.steps
        self.numbers["tensor"].give_back(number)

    def _name_tensor(
        self, tensor: torch.Tensor, name: str, role: str, module: int, root: int
    ) -> Account:
        account = self.known(tensor)
        if account is None:
            return self._new_account(tensor, name, role, module, root)
        entry = self.roster.tensors[account.number]
        entry.shape = entry.shape or shape_of(tensor)  # a lazy parameter has got its own
        same = entry.root == root and entry.role == role and entry.module in self.roster.modules
        if same and name not in entry.names:
            entry.names = (*entry.names, name)
        if (
            entry.root < 0
            or (entry.root == root and not self._still_holds(entry, name))
            or (entry.root != root and self._tree_size(root) > self._tree_size(entry.root))
        ):
            entry.name, entry.names, entry.role = name, (name,), role
            entry.module, entry.root = module, root
        return account

    def _still_holds(self, entry: TensorEntry, name: str) -> bool:
        return entry.name == name or entry.name in entry.names

    def _tree_size(self, root: int) -> int:
        size = self.sizes.get(root)
        if size is None:
            module = self.module_at(root)
            size = sum(1 for _ in members.modules(module)) if module is not None else 0
            self.sizes[root] = size
        return size

    # -- optimizers ---------------------------------------------------------------------------

    def optimizer(self, optimizer: Any) -> int:
        """The number of an optimizer, entered with its tensors when new."""
        known = self.optimizers.get(id(optimizer))
        if known is not None and known[0]() is optimizer:
            return known[1]
        site = self.copied.get(optimizer) or self.places.site(1)
        key, name = id(optimizer), type(optimizer).__name__
        number = self._take("optimizer", (site, name))
        self.optimizers[key] = (weakref.ref(optimizer, lambda _: self._lost(key, number)), number)
        self.roster.optimizers[number] = OptimizerEntry(
            number, name, "", (), site=site, gathers=gathers(type(optimizer))
        )
        self.changes += 1
        self.enter_groups(optimizer, number)
        return number

    def _lost(self, key: int, number: int) -> None:
        self.optimizers.pop(key, None)
        self.numbers["optimizer"].give_back(number)

    def enter_groups(self, optimizer: Any, number: int) -> list[Account]:
        """Read the optimizer's groups: its Accounts in order, its options."""
        entry = self.roster.optimizers[number]
        accounts = [self.account(tensor) for tensor in tensors_of(optimizer)]
        entry.tensors = tuple(account.number for account in accounts)
        entry.sizes = tuple(len(group["params"]) for group in optimizer.param_groups)
        entry.groups = tuple(
            {key: _plain(value) for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        )
        if not entry.label:
            self.changes += 1
            entry.label = made_as(spots(self.places), whole=True) or global_name(
                self.places, optimizer
            )
        for account in accounts:
            account.optimizers.add(number)
        return accounts


def _whole(module: nn.Module) -> bool:
    """Whether a module's base has been made: a scripted one has no mode before."""
    try:
        return module.training in (True, False)
    except Exception:  # what it raises is the class's own choice
        return False


def tensors_of(optimizer: Any) -> list[torch.Tensor]:
    """The tensors of all groups, in order."""
    return [tensor for group in optimizer.param_groups for tensor in group["params"]]


def _plain(value: Any) -> float | int | bool | str | None:
    if isinstance(value, torch.Tensor):
        return (
            float(value)
            if value.numel() == 1 and value.device.type == "cpu"
            else str(tuple(value.shape))
        )
    known = plain(value)
    return known if known is not None or value is None else str(value)[:80]
