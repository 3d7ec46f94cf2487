"""What a constraint lets through is exactly its language, for any options."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layouts import LAYOUTS, make_tokenizer
from sadari.errors import ConfigError
from sadari.model.grammar.options import OptionTrie, tokeniser_in_place
from sadari.types import OneOf

TEXT = st.text(st.sampled_from("가나환불a1 .,{\n"), min_size=1, max_size=8).filter(lambda t: t == t.strip())


@cache
def tools(name: str = "qwen2"):
    tokenizer = make_tokenizer(LAYOUTS[name])
    return tokenizer, tokeniser_in_place(tokenizer)


@st.composite
def constraints(draw) -> OneOf:
    options = draw(st.lists(TEXT, min_size=1, max_size=8))
    starts = draw(st.lists(st.sampled_from(options), max_size=3))
    options += [s + " " + draw(TEXT) for s in starts]  # prefixes of each other, and joins that are options themselves
    alone = draw(st.lists(st.sampled_from(options), max_size=2))
    return OneOf(tuple(options), draw(st.integers(1, 4)), tuple(alone))


def is_in_language(text: str, constraint: OneOf, taken: tuple[str, ...] = ()) -> bool:
    if len(taken) == constraint.most:
        return False
    for option in set(constraint.options) - set(taken):
        if taken and option in constraint.alone:
            continue
        if text == option:
            return True
        joins = option not in constraint.alone and text.startswith(option + " ")
        if joins and is_in_language(text[len(option) + 1 :], constraint, (*taken, option)):
            return True
    return False


@settings(max_examples=150, deadline=None)
@given(constraints(), st.integers(0, 2**32))
def test_a_random_walk_over_allowed_tokens_decodes_to_a_sentence_of_the_language(constraint, seed):
    tokenizer, tokenise = tools()
    trie, rng = OptionTrie(constraint, tokenise), random.Random(seed)
    state, ids = trie.start(), []
    while True:
        tokens, can_end = trie.allowed(state)
        assert tokens or can_end, "no dead ends"
        choices = [*tokens] + ([None] if can_end else [])
        token = rng.choice(choices)
        if token is None:
            break
        ids.append(token)
        state = trie.step(state, token)

    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert text == trie.text(state)
    assert is_in_language(text, constraint)
    assert len(ids) <= trie.longest


@settings(max_examples=100, deadline=None)
@given(constraints(), st.data())
def test_every_sentence_of_the_language_can_be_reached(constraint, data):
    _, tokenise = tools()
    trie = OptionTrie(constraint, tokenise)
    unique = list(dict.fromkeys(constraint.options))
    first = data.draw(st.sampled_from(unique))
    rest = [o for o in unique if o != first and o not in constraint.alone]
    if first not in constraint.alone and rest:
        rest = data.draw(st.lists(st.sampled_from(rest), max_size=constraint.most - 1, unique=True))
    else:
        rest = []
    state = trie.start()
    answer = tokenise("", [first])[0] + [t for o in rest for t in tokenise(first, [" " + o])[0]]
    for token in answer:
        assert token in trie.allowed(state)[0]
        state = trie.step(state, token)
    assert trie.allowed(state)[1]
    assert trie.text(state) == " ".join([first, *rest])


@pytest.mark.parametrize("name", LAYOUTS)
def test_options_are_tokenised_as_the_model_learns_them(name):
    """Training renders `header + option + end`: the tokens in the loss have to be the tokens of the trie."""
    from sadari.model.chat import render_training
    from sadari.types import Message

    tokenizer, tokenise = tools(name)
    for option in ("환불 규정", "order 12345", "카드_결제"):
        rendered = render_training(tokenizer, (Message("user", "x"), Message("assistant", option)))
        learnt = [t for t, w in zip(rendered.ids, rendered.weights, strict=True) if w][:-1]
        if name != "mistral":  # its template puts a space before the answer, which the trie leaves to the header
            assert tokenise("", [option])[0] == learnt


def test_no_joining_beyond_the_token_limit():
    _, tokenise = tools()
    trie = OptionTrie(OneOf(("가", "나"), most=2), tokenise)
    state = trie.start()
    for token in tokenise("", ["가"])[0]:
        state = trie.step(state, token)

    assert trie.allowed(state, may_join=True)[0]
    assert trie.allowed(state, may_join=False) == ((), True)


@pytest.mark.parametrize("options", [(), ("가", "")])
def test_a_constraint_without_options_is_refused(options):
    with pytest.raises(ConfigError, match="at least one option"):
        OptionTrie(OneOf(options), tools()[1])


def test_two_hundred_long_options_are_laid_out_quickly():
    import time

    _, tokenise = tools()
    options = tuple(f"{i} 번째 문장입니다. 배송은 이틀 걸립니다. " * 2 + "끝" for i in range(200))
    began = time.process_time()
    trie = OptionTrie(OneOf(options, most=3), tokenise)
    trie.allowed(trie.start())

    assert time.process_time() - began < 1.5
