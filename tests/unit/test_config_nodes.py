from fastroute.config.nodes import MAX_BYTES, Node, every_node, too_big
from fastroute.config.problems import Problems, Spot


def tree() -> Node:
    leaf = Node(1, Spot(2, 5))
    return Node(
        {"a": Node({"b": leaf}, Spot(2, 1), {"b": Spot(2, 2)}), "l": Node([leaf, Node("x")])}, Spot(1, 1), {"a": Spot(1, 1)}
    )


def test_a_path_of_keys() -> None:
    found = tree().get("a", "b")
    assert found is not None
    assert (found.value, found.spot) == (1, Spot(2, 5))
    assert tree().get("a", "missing", "deeper") is None
    assert tree().get("l", "0") is None


def test_members_and_elements_of_other_kinds_are_none() -> None:
    assert list(Node(5).items()) == []
    assert list(Node("text").elements()) == []
    assert [child.value for child in tree().get("l").elements()] == [1, "x"]  # type: ignore[union-attr]


def test_a_key_without_a_place_takes_its_mappings() -> None:
    assert tree().get("a").key_spot("b") == Spot(2, 2)  # type: ignore[union-attr]
    assert tree().get("a").key_spot("merged") == Spot(2, 1)  # type: ignore[union-attr]


def test_plain_values() -> None:
    assert tree().plain() == {"a": {"b": 1}, "l": [1, "x"]}


def test_every_node_comes_once_however_often_it_is_shared() -> None:
    nodes = list(every_node(tree()))
    assert len(nodes) == 5
    assert len({id(node) for node in nodes}) == 5


def test_nodes_do_not_share_their_key_places() -> None:
    first, second = Node({}), Node({})
    first.keys["a"] = Spot(9, 9)
    assert second.keys == {}


def test_size_limit() -> None:
    problems = Problems("f")
    assert not too_big(MAX_BYTES, problems)
    assert too_big(MAX_BYTES + 1, problems)
    assert "1,048,577 bytes" in problems.sorted()[0].message
