"""`python -m sadari`: the command. `torchrun --nproc-per-node N -m sadari ...` shares its fits among N processes."""

import os

from sadari.cli import main

if __name__ == "__main__":
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from sadari.train.order import together

        together(main)
    else:
        main()
