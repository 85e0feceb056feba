import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.strategies.gem import GemConfig, GemProjection, solve_dual
from learner.strategies.replay import ReplayConfig
from learner.strategies.row_cache import RowCache
from tests.contracts.strategy import MEMORY, Setup, make_batch


def objective(v: np.ndarray, quadratic: np.ndarray, linear: np.ndarray) -> float:
    return float(0.5 * v @ quadratic @ v + linear @ v)


def active_set_reference(quadratic: np.ndarray, linear: np.ndarray, margin: float) -> np.ndarray:
    """Try every set of variables at their bound: exact for a handful of variables."""
    k = len(linear)
    best, best_value = np.full(k, margin), np.inf
    for chosen in range(1 << k):
        free = np.array([bool(chosen >> i & 1) for i in range(k)])
        v = np.full(k, margin)
        if free.any():
            right = -linear[free] - quadratic[np.ix_(free, ~free)] @ v[~free]
            v[free] = np.linalg.solve(quadratic[np.ix_(free, free)], right)
        value = objective(v, quadratic, linear)
        if (v >= margin - 1e-12).all() and value < best_value:
            best, best_value = v, value
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_dual_has_the_reference_solution(seed: int, k: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    rows, gradient = rng.standard_normal((k, 20)), rng.standard_normal(20)
    gram, products = rows @ rows.T, rows @ gradient
    quadratic = gram + 1e-3 * np.eye(k)
    ours = solve_dual(gram, products, margin, 1e-3)
    assert np.abs(ours - active_set_reference(quadratic, products, margin)).max() < 1e-6
    assert (ours >= margin).all()


def test_a_general_solver_finds_no_better_dual() -> None:
    rng = np.random.default_rng(3)
    rows, gradient = rng.standard_normal((10, 50)), rng.standard_normal(50)
    gram, products = rows @ rows.T, rows @ gradient
    quadratic = gram + 1e-3 * np.eye(10)
    ours = solve_dual(gram, products, 0.5, 1e-3)
    theirs = scipy.optimize.minimize(
        objective,
        np.full(10, 1.0),
        (quadratic, products),
        jac=lambda v, q, c: q @ v + c,
        bounds=[(0.5, None)] * 10,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    assert objective(ours, quadratic, products) <= theirs.fun + 1e-9
    assert np.abs(ours - theirs.x).max() < 1e-5


def test_a_projected_step_raises_no_past_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    gradient, rows = torch.randn(200, generator=generator), torch.randn(4, 200, generator=generator)
    rows[1] = -gradient + 0.1 * rows[1]
    result = GemProjection(GemConfig(margin=0.0, ridge=1e-6))(gradient, rows, "abcd", "abcd")
    assert "b" in result.violated
    assert (rows @ result.gradient > -1e-3).all()


def test_a_gradient_that_violates_nothing_is_left_alone() -> None:
    gradient = torch.ones(5)
    result = GemProjection(GemConfig())(gradient, torch.ones(2, 5), "ab", "ab")
    assert result.gradient is gradient
    assert result.violated == ()


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_the_margin_bounds_the_multipliers(margin: float) -> None:
    gradient, row = torch.tensor([-1.0, 0.0]), torch.tensor([[1.0, 0.0]])
    result = GemProjection(GemConfig(margin=margin, ridge=1e-9))(gradient, row, "a", "a")
    # The constraint alone asks for a multiplier of 1, above either bound: adding the bound would give 1.5.
    assert result.gradient[0].item() == pytest.approx(0.0, abs=1e-6)


def test_with_replay_and_nothing_violated_gem_is_replay() -> None:
    memory = {"a": make_batch(3, 2), "b": make_batch(3, 3)}
    projected, replayed = Setup(GemConfig()), Setup(ReplayConfig())
    ours = projected.strategy.observe(make_batch(3), memory)
    theirs = replayed.strategy.observe(make_batch(3), memory)
    assert ours.violated == ()
    assert ours.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-5)
    assert ours.memory_losses == pytest.approx(dict(theirs.memory_losses), rel=1e-5)
    for a, b in zip(projected.parameters, replayed.parameters, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.sampled_from([0.0, 0.5]))
def test_the_projection_is_that_of_a_reference_solver(seed: int, k: int, margin: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows, gradient = torch.randn(k, 40, generator=generator), torch.randn(40, generator=generator)
    names = [str(i) for i in range(k)]
    ours = GemProjection(GemConfig(margin=margin))(gradient, rows, names, names).gradient
    exact, g = rows.double().numpy(), gradient.double().numpy()
    if not (exact @ g < 0).any():
        assert ours is gradient
        return
    quadratic, linear = exact @ exact.T + 1e-3 * np.eye(k), exact @ g
    found = scipy.optimize.minimize(
        objective,
        np.full(k, margin + 0.1),
        (quadratic, linear),
        jac=lambda v, q, c: q @ v + c,
        bounds=[(margin, None)] * k,
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    v = active_set_reference(quadratic, linear, margin)
    assert np.abs(v - found.x).max() < 1e-5
    assert np.abs(solve_dual(exact @ exact.T, linear, margin, 1e-3) - v).max() < 1e-6
    assert np.abs(ours.double().numpy() - (g + exact.T @ v)).max() < 1e-4  # products are made in float32


def test_the_worst_violated_constrain() -> None:
    gradient = torch.tensor([1.0, 1.0, 1.0])
    rows = torch.tensor([[-1.0, 0.0, 0.0], [0.0, -3.0, 0.0], [0.0, 0.0, -2.0]])
    result = GemProjection(GemConfig(margin=0.0, ridge=1e-9, constraints=2))(gradient, rows, "abc", "abc")
    assert result.violated == ("a", "b", "c")
    assert torch.allclose(result.gradient, torch.tensor([1.0, 0.0, 0.0]), atol=1e-6)


def test_a_gradient_that_is_not_finite_is_never_passed_on() -> None:
    rows = torch.tensor([[float("-inf"), 0.0], [1.0, 1.0]])
    result = GemProjection(GemConfig())(torch.ones(2), rows, "ab", "ab")
    assert result.gradient.isnan().all()


@pytest.mark.parametrize(("domains", "every"), [(1, 3), (4, 2), (5, 3), (7, 7), (3, 10)])
def test_no_gradient_is_used_for_longer_than_stated(domains: int, every: int) -> None:
    cache, past = RowCache(every), [f"d{i}" for i in range(domains)]
    made: dict[str, int] = {}
    computed = 0
    for step in range(50):
        due = cache.due(past)
        computed += len(due)
        rows = torch.full((len(due), 2), float(step))
        kept = cache.take(rows, due, past)
        made |= dict.fromkeys(due, step)
        assert [int(row[0]) for row in kept] == [made[name] for name in past]
        assert all(step - made[name] < every for name in past)
    # No more than about one in every so many steps, once all have been computed.
    assert computed <= domains + 50 * -(-domains // every)


def test_a_cache_goes_on_from_its_state_and_takes_new_domains() -> None:
    cache = RowCache(3)
    cache.take(torch.eye(2), ["a", "b"], ["a", "b"])
    other = RowCache(3)
    other.restore(cache.state())
    assert other.due(["a", "b", "c"]) == cache.due(["a", "b", "c"]) == ["c"]
    kept = other.take(torch.full((1, 2), 5.0), ["c"], ["a", "b", "c"])
    assert torch.equal(kept, torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]]))


def test_a_domain_that_is_not_due_does_not_pass() -> None:
    setup = Setup(GemConfig(refresh_every=2))
    first = setup.strategy.observe(make_batch(3), MEMORY)
    second = setup.strategy.observe(make_batch(3), MEMORY)
    third = setup.strategy.observe(make_batch(3), MEMORY)
    assert set(first.memory_losses) == {"a", "b"}
    assert set(second.memory_losses) | set(third.memory_losses) == {"a", "b"}
    assert len(second.memory_losses) == len(third.memory_losses) == 1
