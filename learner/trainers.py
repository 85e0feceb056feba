"""Builds the trainer that the settings describe."""

import numpy as np
import torch

from learner.model import build_model
from learner.settings import LearnerSettings
from learner.trainer import Trainer, best_device


def make_trainer(settings: LearnerSettings) -> Trainer:
    """Build the network with its seed, on the device that is set, and what trains it."""
    device = best_device() if settings.training.device == "auto" else torch.device(settings.training.device)
    model = build_model(settings.model, len(settings.classes), settings.seed)
    return Trainer(model, settings.strategy, settings.trainer, device, np.random.default_rng(settings.seed))
