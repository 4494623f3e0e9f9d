"""The papers behind the entries, and which of them an experiment stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.attacks.matching.settings import Steps
from lab.experiments.experiment import Experiment
from lab.federated.observation import LabelSource
from lab.options.catalogue import Entry
from lab.options.data import is_list
from lab.options.fields import Option, fields_of


@dataclass(frozen=True)
class Paper:
    """One publication."""

    key: str
    title: str
    authors: str
    venue: str
    year: int
    arxiv: str = ""

    def __str__(self) -> str:
        """The line of a bibliography."""
        identifier = f", arXiv {self.arxiv}" if self.arxiv else ""
        return f"{self.authors}: {self.title}. {self.venue} {self.year}{identifier}."


_LISTING = (
    Paper(
        "geiping2020",
        "Inverting Gradients - How easy is it to break privacy in federated learning?",
        "J. Geiping, H. Bauermeister, H. Dröge, M. Moeller",
        "NeurIPS",
        2020,
        "2003.14053",
    ),
    Paper("zhu2019", "Deep Leakage from Gradients", "L. Zhu, Z. Liu, S. Han", "NeurIPS", 2019, "1906.08935"),
    Paper(
        "zhao2020",
        "iDLG: Improved Deep Leakage from Gradients",
        "B. Zhao, K. R. Mopuri, H. Bilen",
        "preprint",
        2020,
        "2001.02610",
    ),
    Paper(
        "zhu2021",
        "R-GAP: Recursive Gradient Attack on Privacy",
        "J. Zhu, M. Blaschko",
        "ICLR",
        2021,
        "2010.07733",
    ),
    Paper(
        "wainakh2022",
        "User-Level Label Leakage from Gradients in Federated Learning",
        "A. Wainakh et al.",
        "Proceedings on Privacy Enhancing Technologies",
        2022,
        "2105.09369",
    ),
    Paper(
        "deng2021",
        "TAG: Gradient Attack on Transformer-based Language Models",
        "J. Deng et al.",
        "Findings of EMNLP",
        2021,
        "2103.06819",
    ),
    Paper(
        "mcmahan2017",
        "Communication-Efficient Learning of Deep Networks from Decentralized Data",
        "H. B. McMahan, E. Moore, D. Ramage, S. Hampson, B. Agüera y Arcas",
        "AISTATS",
        2017,
        "1602.05629",
    ),
    Paper(
        "he2016", "Deep Residual Learning for Image Recognition", "K. He, X. Zhang, S. Ren, J. Sun", "CVPR", 2016, "1512.03385"
    ),
    Paper(
        "iandola2016",
        "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
        "F. N. Iandola et al.",
        "preprint",
        2016,
        "1602.07360",
    ),
    Paper(
        "zhu2023",
        "Surrogate Model Extension (SME): A Fast and Accurate Weight Update Attack on Federated Learning",
        "J. Zhu, R. Yao, M. B. Blaschko",
        "ICML",
        2023,
        "2306.00127",
    ),
    Paper(
        "dosovitskiy2021",
        "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
        "A. Dosovitskiy et al.",
        "ICLR",
        2021,
        "2010.11929",
    ),
    Paper(
        "lu2022",
        "APRIL: Finding the Achilles' Heel on Privacy for Vision Transformers",
        "J. Lu, X. S. Zhang, T. Zhao, X. He, J. Cheng",
        "CVPR",
        2022,
        "2112.14087",
    ),
    Paper(
        "simonyan2015",
        "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        "K. Simonyan, A. Zisserman",
        "ICLR",
        2015,
        "1409.1556",
    ),
    Paper("howard2019", "Searching for MobileNetV3", "A. Howard et al.", "ICCV", 2019, "1905.02244"),
    Paper(
        "beutel2020", "Flower: A Friendly Federated Learning Framework", "D. J. Beutel et al.", "preprint", 2020, "2007.14390"
    ),
    Paper("kingma2015", "Adam: A Method for Stochastic Optimization", "D. P. Kingma, J. Ba", "ICLR", 2015, "1412.6980"),
)

PAPERS = {paper.key: paper for paper in _LISTING}

_STANDS_ON = {
    ("attack", "gradient_matching"): "geiping2020",
    ("attack", "analytic"): "geiping2020",
    ("attack", "recursive"): "zhu2021",
    ("attack", "patch_embedding"): "lu2022",
    ("distance", "cosine"): "geiping2020",
    ("distance", "euclidean"): "zhu2019",
    ("distance", "l1"): "deng2021",
    ("network", "convnet"): "geiping2020",
    ("network", "lenet"): "zhu2019",
    ("network", "resnet"): "he2016",
    ("network", "imagenet_resnet"): "he2016",
    ("network", "squeezenet"): "iandola2016",
    ("network", "vision_transformer"): "dosovitskiy2021",
    ("network", "imagenet_vit"): "dosovitskiy2021",
    ("network", "vgg11"): "simonyan2015",
    ("network", "mobilenet_v3"): "howard2019",
    ("network", "flower_net"): "beutel2020",
    ("optimiser", "adam"): "kingma2015",
    ("optimiser", "signed_adam"): "geiping2020",
    ("optimiser", "lbfgs"): "zhu2019",
    ("protocol", "fedavg"): "mcmahan2017",
}


def citation(experiment: Experiment) -> tuple[Paper, ...]:
    """The papers whose methods an experiment uses, the oldest first."""
    keys = {_STANDS_ON.get((entry.kind, entry.name), "") for entry in _entries(experiment)}
    keys |= {_label_paper(experiment), _local_steps_paper(experiment)}
    return tuple(sorted((PAPERS[key] for key in keys if key), key=lambda paper: (paper.year, paper.key)))


def _label_paper(experiment: Experiment) -> str:
    if experiment.labels is LabelSource.INFERRED:
        return "zhao2020" if experiment.batch_size == 1 else "wainakh2022"
    return "zhu2019" if experiment.labels is LabelSource.JOINT else ""


def _local_steps_paper(experiment: Experiment) -> str:
    several = getattr(experiment.protocol, "local_steps", 1) > 1
    return "zhu2023" if several and getattr(experiment.attack, "local_steps", None) is Steps.SURROGATE else ""


def _entries(option: Option) -> Iterator[Entry]:
    """Every catalogue entry chosen inside an option, at any depth."""
    if isinstance(option, Entry):
        yield option
    for field in fields_of(type(option)):
        value = getattr(option, field.name)
        for part in value if is_list(value) else (value,):
            if isinstance(part, Option):
                yield from _entries(part)
