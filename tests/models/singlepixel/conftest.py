import pytest
import singlepixel as simulator
import torch
from singlepixel import Conditions, Simulated


@pytest.fixture(autouse=True)
def one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="session")
def scan() -> Simulated:
    """7 % sampling of 48 x 48 pixels; the reconstruction knows neither the TXM's weights nor the true stoichiometry."""
    specimen = simulator.cathode(48, seed=74, stoichiometry_error=0.05)
    return simulator.measure(specimen, Conditions(n_patterns=160, mu_error=0.1), seed=74)


@pytest.fixture(scope="session")
def small() -> Simulated:
    specimen = simulator.cathode(32, seed=74, stoichiometry_error=0.05)
    return simulator.measure(specimen, Conditions(n_patterns=90, mu_error=0.1), seed=74)
