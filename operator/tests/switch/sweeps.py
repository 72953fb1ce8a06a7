"""Stories of one edit, each told with every seed and at every moment that the effort has."""

from tests.switch import stories
from tests.switch.edits import Edit
from tests.switch.telling import Effort, spec_of, stage


def edited(edit: Edit, effort: Effort) -> None:
    """Carried out."""
    on = stage(edit.before)
    for seed in effort.seeds:
        stories.edited(on, spec_of(on, edit), set(edit.restarts), seed)


def dies(edit: Edit, effort: Effort) -> None:
    """The operator dies at a write."""
    on = stage(edit.before)
    for seed in effort.seeds:
        for death in [*stories.deaths(on, spec_of(on, edit), seed)][:: effort.stride]:
            stories.dies(on, spec_of(on, edit), death, seed)


def reverted(edit: Edit, effort: Effort) -> None:
    """Taken back."""
    on = stage(edit.before)
    for seed in effort.seeds:
        steps = 0
        while stories.reverted(on, spec_of(on, edit), steps, seed):
            steps += 8 * effort.stride


def troubled(edit: Edit, effort: Effort) -> None:
    """Processes die in the middle."""
    on = stage(edit.before)
    for seed in effort.seeds:
        stories.troubled(on, spec_of(on, edit), seed)
