import torch

from learner.strategies.generative.contexts import Contexts


def two_domains() -> Contexts:
    contexts = Contexts(3)
    contexts.enter("a")
    contexts.see("a", torch.tensor([0, 2, 2]))
    contexts.enter("b")
    contexts.see("b", torch.tensor([1]))
    return contexts


def test_a_domain_is_counted_once() -> None:
    contexts = Contexts(3)
    assert contexts.enter("a")
    assert [contexts.added(key) for key in ("class", "domain", "pair")] == [3, 1, 3]
    assert contexts.enter("b")
    assert [contexts.added(key) for key in ("class", "domain", "pair")] == [0, 1, 3]
    assert not contexts.enter("a")


def test_only_pairs_that_were_shown_are_drawn_and_each_of_them() -> None:
    domains, classes = two_domains().draw(300, torch.Generator().manual_seed(0))
    counts = dict.fromkeys([(0, 0), (0, 2), (1, 1)], 0)
    for pair in zip(domains.tolist(), classes.tolist(), strict=True):
        counts[pair] += 1
    assert min(counts.values()) > 70


def test_weights_of_each_key() -> None:
    contexts = two_domains()
    domains, classes = torch.tensor([0, 1]), torch.tensor([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
    assert torch.equal(contexts.weights("class", domains, classes), classes)
    assert torch.equal(contexts.weights("domain", domains, classes), torch.eye(2))
    pairs = torch.tensor([[0.5, 0.0, 0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]])
    assert torch.equal(contexts.weights("pair", domains, classes), pairs)


def test_values_and_copies_are_the_same_contexts() -> None:
    contexts = two_domains()
    copied, read = contexts.copy(), Contexts.of_values(contexts.values())
    contexts.see("b", torch.tensor([0]))
    for other in (copied, read):
        assert other.domains == ["a", "b"]
        assert other.pairs == {(0, 0), (0, 2), (1, 1)}
        assert (other.shown(), other.shown(1)) == ([0, 1, 2], [1])
