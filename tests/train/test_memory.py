"""Which errors mean that memory ran out."""

import pytest
import torch

from sadari.train.memory import is_out_of_memory


def test_the_error_of_the_allocator_of_this_machine_is_known() -> None:
    with pytest.raises(RuntimeError) as told:
        torch.empty(2**58)
    assert is_out_of_memory(told.value)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_errors_of_an_accelerator_and_of_python_are_known(error: BaseException) -> None:
    assert is_out_of_memory(error)


def test_other_errors_are_not_taken_for_it() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
