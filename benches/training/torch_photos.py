#!/usr/bin/env python3
"""Tunes a network of torchvision or timm on folders of photos and measures it on others; bench.py runs it."""

import math
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file, save_file

import peer
import squares


def main():
    options = peer.arguments(architecture=str, weights=str, layout=str, loading=str, size=int, train=Path, test=Path)
    clock = peer.Clock()
    form = torch.channels_last if options.layout == "channels-last" else torch.contiguous_format
    with clock.span("decoding"):
        train, test = (Photos(folder, options) for folder in (options.train, options.test))
    with clock.span("training"):
        body, head, colours = network(options.architecture, options.weights)
        model = measured = torch.nn.Sequential(body, head).to(memory_format=form)
        takes = Takes(colours, form)
        if options.frozen:
            body.eval().requires_grad_(False)
            measured = torch.nn.Sequential(fused(body), head)
            with clock.span("features"):
                features = outputs(measured[0], train, takes, options)
            peer.train_head(head, features, train.labels, options)
        else:
            with clock.span("epochs"):
                tune(model, train, takes, options)
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, options.save)
    with clock.span("measuring"):
        logits = outputs(measured.eval(), test, takes, options)
    peer.finish(clock, logits, test.labels)


class Photos(torch.utils.data.Dataset):
    """The squares of all photos of a folder, either decoded ahead by threads or one by one by the workers of a loader."""

    def __init__(self, folder, options):
        listed = squares.listed(folder)
        self.paths = [path for path, _ in listed]
        self.labels = torch.tensor([label for _, label in listed])
        self.size, self.batch = options.size, options.batch
        self.workers = options.threads if options.loading == "workers" else 0
        if not self.workers:
            self.pixels = torch.from_numpy(squares.decoded(self.paths, self.size, options.threads))

    def __getitem__(self, place):
        # A loader copies it into a batch.
        return torch.from_numpy(squares.square(self.paths[place], self.size).copy())

    def batches(self, order):
        """Pixels of batches, each [photos, height, width, 3], and the places of its photos."""
        order = order.split(self.batch)
        if not self.workers:
            return ((self.pixels[rows], rows) for rows in order)
        loader = torch.utils.data.DataLoader(self, batch_sampler=[rows.tolist() for rows in order], num_workers=self.workers)
        return zip(loader, order)


def network(architecture, weights):
    """The network below its head, with the weights of a file, a new head for two labels, and the colours that it expects."""
    state = load_file(weights)
    if architecture == "mobilenet_v2":
        model = torchvision.models.mobilenet_v2()
        model.load_state_dict(state)
        body = torch.nn.Sequential(model.features, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        return body, new_head(1280, 0.2), squares.IMAGENET
    if architecture == "resnet18":
        model = torchvision.models.resnet18()
        model.load_state_dict(state)
        model.fc = torch.nn.Identity()
        return model, new_head(512, 0.0), squares.IMAGENET
    import timm

    model = timm.create_model(architecture)
    model.load_state_dict(state)
    model.reset_classifier(0)
    return model, new_head(model.num_features, 0.2), squares.HALF


def new_head(width, dropout):
    linear = torch.nn.Linear(width, 2)
    torch.nn.init.normal_(linear.weight, std=0.01)
    torch.nn.init.zeros_(linear.bias)
    return torch.nn.Sequential(torch.nn.Dropout(dropout), linear)


class Takes:
    """How bytes become what a network takes."""

    def __init__(self, colours, form):
        mean, deviation = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in colours)
        self.scale, self.shift, self.form = 1 / (255 * deviation), mean / deviation, form

    def __call__(self, pixels):
        # The bytes lie pixel by pixel, which is already what channels-last is.
        images = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=self.form)
        return images.mul_(self.scale).sub_(self.shift)


def tune(model, train, takes, options):
    count = len(train.labels)
    training = peer.Training(model.train(), options, options.epochs * math.ceil(count / options.batch))
    for _ in range(options.epochs):
        for pixels, rows in train.batches(torch.randperm(count)):
            mirrored = torch.rand(len(rows)) < 0.5
            pixels[mirrored] = pixels[mirrored].flip(2)
            training.step(takes(pixels), train.labels[rows])


def outputs(model, photos, takes, options):
    with torch.inference_mode(), peer.mixed(options.precision):
        batches = photos.batches(torch.arange(len(photos.labels)))
        return torch.cat([model(takes(pixels)).float() for pixels, _ in batches]).clone()


def fused(body):
    """A copy of a network in which each normalisation is part of the convolution before it: the same numbers in fewer passes."""
    from torch.fx.experimental.optimization import fuse

    return fuse(body)


if __name__ == "__main__":
    main()
