"""Counts that may be told: small ones would single people out."""

from collections.abc import Sequence


def told(counts: Sequence[int], least: int, of: Sequence[int] | None = None) -> list[str]:
    """Counts of the levels of one column as they may be shown.

    A count below `least` reads ``<least``, and one whose complement is below it reads ``≥`` what it then must be.
    Where only one count is hidden, it would follow from the others and the total: the next smallest is hidden too
    and reads ``≥least`` (complementary suppression, Hundepool et al. 2012, Statistical Disclosure Control). Counts
    that are all 0 say so. With `least` 1 only counts of 0 are hidden.

    Parameters
    ----------
    counts : sequence of int
        One a level.
    least : int
    of : sequence of int or None
        Totals that the counts are part of, where the rest must stay hidden too.
    """
    if not any(counts):
        return ["0"] * len(counts)
    totals = of if of is not None else [count + least for count in counts]
    shown = []
    for count, total in zip(counts, totals, strict=True):
        if count < least:
            shown.append(f"<{least}")
        elif total - count < least:
            shown.append(f"≥{max(total - least + 1, least)}")
        else:
            shown.append(str(count))
    exact = [place for place, text in enumerate(shown) if text.isdigit()]
    if len(shown) - len(exact) == 1 and exact:
        shown[min(exact, key=lambda place: counts[place])] = f"≥{least}"
    return shown
