"""How the closed forms end: what they claim of the input that they read off."""

from __future__ import annotations

from lab.attacks.base import Outcome


class ClosedFormOutcome(Outcome):
    """How a closed form ended."""

    EXACT = "Read off exactly: the input is a ratio of shared numbers (Proposition 3.1)."
    UP_TO_SCALE = "Without a bias the input of a fully connected layer is known only up to its scale."
    FEATURES_ONLY = "The algebra gives the features that enter the fully connected layer, not the picture below them."
    DROPPED_INPUT = (
        "Dropout switched inputs off before this layer: the ratio is exact where they stayed on, and says nothing "
        "of the others."
    )
    MIXTURE = "With several pictures each ratio is a mixture of them; a row is pure only where one picture alone is active."
    UNMOVED_INPUT = (
        "Read off exactly: the weights moved under way, but the first layer's input never did, and the ratio is still it."
    )
    UNCONFIRMED_RATIO = (
        "One input fits every row, but its own local steps do not send these numbers: the ratio is exact if the client's steps "
        "are sums of gradients (momentum), and false if they are not (Adam)."
    )
    DIVIDED_STEPS = (
        "Each of the client's steps divided the gradient by its own size (Adam): no shared number is a sum of gradients, and "
        "no ratio of two is the input."
    )
    AFTER_LOCAL_STEPS = (
        "After local steps the layers that tell this input had moved under way, so the ratio is only approximate."
    )
    INCONSISTENT = (
        "The shared numbers do not fit one single input (noise, rounding, weight decay or a defence), so the ratio is only "
        "approximate."
    )
    DEAD_UNITS = (
        "A layer's gradients are all zero: its units are silent, the network is quite sure of the label, or a defence kept "
        "them back; a ratio of zeros says nothing."
    )
    NO_LINEAR_LAYER = "This network has no fully connected layer to read the input from."
    NOT_SENT = "The update lacks numbers that the algebra reads; matching gradients takes what is there."
    PEELED = "Read off layer by layer, from the features down to the picture: it explains every shared number."
    PEEL_OPEN = "Several pictures explain every shared number, so the one shown need not be the private one."
    PEEL_CLOSE = "Read off layer by layer: the picture leaves less than a hundredth of the shared numbers unexplained."
    PEEL_NOISE = "The shared numbers carry noise, and each layer undone may amplify it: the picture fits them only so far."
    PEEL_RANK = "A layer shrinks too much: its equations are fewer than its unknowns, so many inputs fit."
    PEEL_MAX_POOLING = "Max-pooling hides which of its inputs it kept, so the way down ends there."
    PEEL_SKIP = "A skip connection adds two unknown branches, so the way down ends there."
    PEEL_UNSUPPORTED = "The way down ends at a layer that the algebra does not undo."
    SET_APART = "Several pictures read off exactly: their labels, or the units that each leaves silent, set them apart."
    PEEL_BATCH = "Several pictures share one gradient, and nothing sets them apart; the way down never begins."
    STRAIGHTENED = "Read off layer by layer, again and again, until the picture explained what the local steps changed too."
    PEEL_LOCAL_STEPS = "After local steps the weights moved under way, so the equations hold only approximately."
    PEEL_INEXACT = "The way down led to no picture that explains the shared numbers."
