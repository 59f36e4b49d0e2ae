"""Families of samples, and how Prometheus' own library writes them.  To import that takes 13 ms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

Samples = Iterable[tuple[Sequence[str], float]]
"""Values of the labels, and a number; no two of a family may have the same labels, or Prometheus refuses the answer."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A collector of families, as the library takes one."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        return self.families


def written(families: Iterable[Metric], *, as_openmetrics: bool) -> tuple[bytes, str]:
    """Return families as OpenMetrics or in Prometheus' text format, with the media type."""
    encode, media_type = choose_encoder("application/openmetrics-text" if as_openmetrics else "text/plain")
    return encode(Collected(families)), media_type


def gauge(name: str, text: str, samples: Samples, *, labels: Sequence[str] = ()) -> Iterator[Metric]:
    """Yield a family of what rises and falls; nothing without samples.  `text` is one line of help."""
    yield from _filled(GaugeMetricFamily(name, text, labels=labels), samples)


def counter(name: str, text: str, samples: Samples, *, labels: Sequence[str] = ()) -> Iterator[Metric]:
    """Yield a family of what only rises, whose name ends in `_total`; nothing without samples."""
    yield from _filled(CounterMetricFamily(name, text, labels=labels), samples)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: Samples) -> Iterator[Metric]:
    for labels, value in samples:
        family.add_metric([_encodable(label) for label in labels], value)
    if family.samples:
        yield family


def _encodable(text: str) -> str:
    """Return a text that UTF-8 can write: one that it cannot would cost the whole answer."""
    return text.encode(errors="backslashreplace").decode()
