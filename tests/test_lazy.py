"""What stands for a package until it is asked is the package from then on, its own late names included."""

from importlib import import_module

import pytest

from lab import lazy


@pytest.mark.parametrize("name", ["torch", "nn", "functional", "np"])
def test_it_answers_as_the_package_does(name):
    stand_in = getattr(lazy, name)
    package = import_module(stand_in.__name__)
    for attribute in dir(package):
        assert getattr(stand_in, attribute) is getattr(package, attribute)
    for _ in range(2):
        with pytest.raises(AttributeError):
            _ = stand_in.no_such_name


def test_numpys_own_late_names_are_found():
    """NumPy gives them by a function of its module, when they are first asked for."""
    assert lazy.np.char.upper("a") == "A"
    assert lazy.np.strings.upper("a") == "A"
