"""Runs that stream: micrographs, their CTFs, residuals of gain.

The file `goal` in the project says how far they go: a count, and `end` behind it where they end there.  The values are
computed of the item's number, so that anybody knows them.
"""

import math
import time
from pathlib import Path

from pwem.objects import Acquisition, CTFModel, Micrograph, SetOfCTF, SetOfMicrographs
from pwem.protocols import EMProtocol, ProtCTFMicrographs
from pyworkflow.object import Set
from pyworkflow.protocol import params

LOOK_SECONDS = 0.1
AT_A_TIME = 5


class _Growing:
    """Grows to the goal, some items at a time."""

    def _insertAllSteps(self):
        self._insertFunctionStep("growStep")

    def growStep(self):
        """Add items until the goal says that this was all."""
        done = 0
        while True:
            wanted, ends = self._goal()
            if done < wanted:
                done = self._grow(done, min(wanted, done + AT_A_TIME))
            elif ends:
                break
            else:
                time.sleep(LOOK_SECONDS)
        self._close()

    def _goal(self):
        words = Path(self.getProject().getPath(), "goal").read_text().split()
        return int(words[0]), "end" in words

    def _grow(self, done, stop):
        """Add the items after `done` up to `stop` or fewer; returns how many there are."""
        raise NotImplementedError

    def _close(self):
        """Do what is to be done when everything is there."""

    @classmethod
    def worksInStreaming(cls):
        return True

    def _opened(self, cls, output, file):
        """Return a run's own set, ready for more items."""
        items = cls(filename=self._getPath(file))
        if self.hasAttribute(output):
            items.loadAllProperties()
            items.enableAppend()
        return items

    def _stepsCheck(self):
        """Look for nothing: the one step does everything."""

    def _validate(self):
        return []

    def _summary(self):
        return []


class StreamProtMicrographs(_Growing, EMProtocol):
    """Streams micrographs."""

    _label = "stream micrographs"
    _possibleOutputs = {"outputMicrographs": SetOfMicrographs}  # noqa: RUF012

    def _defineParams(self, form):
        form.addSection("Input")
        form.addParam("pixelSize", params.FloatParam, default=0.83, label="Pixel size (Å)")

    def _grow(self, done, stop):
        items = self._opened(SetOfMicrographs, "outputMicrographs", "micrographs.sqlite")
        if not done:
            items.setSamplingRate(self.pixelSize.get())
            items.setAcquisition(_acquisition())
        for number in range(done + 1, stop + 1):
            micrograph = Micrograph(location=self._getExtraPath(f"hole_{number:04d}.mrc"))
            micrograph.setObjId(number)
            micrograph.setMicName(f"hole_{number:04d}.mrc")
            micrograph.setSamplingRate(self.pixelSize.get())
            micrograph.setAcquisition(_acquisition())
            items.append(micrograph)
        self._updateOutputSet("outputMicrographs", items, Set.STREAM_OPEN)
        return stop

    def _close(self):
        items = self._opened(SetOfMicrographs, "outputMicrographs", "micrographs.sqlite")
        self._updateOutputSet("outputMicrographs", items, Set.STREAM_CLOSED)


class StreamProtCTF(_Growing, ProtCTFMicrographs):
    """Streams a CTF for each micrograph, as they come."""

    _label = "stream ctfs"

    def _defineParams(self, form):
        form.addSection("Input")
        form.addHidden("recalculate", params.BooleanParam, default=False)
        form.addParam("inputMicrographs", params.PointerParam, pointerClass="SetOfMicrographs", label="Micrographs")
        form.addParam("defocusShift", params.FloatParam, default=0, label="Added to each defocus (Å)")

    def _grow(self, done, stop):
        source = self.inputMicrographs.get()
        micrographs = SetOfMicrographs(filename=source.getFileName())
        known = [micrograph.clone() for micrograph in micrographs.iterItems() if done < micrograph.getObjId() <= stop]
        micrographs.close()
        if not known:
            time.sleep(LOOK_SECONDS)
            return done
        items = self._opened(SetOfCTF, "outputCTF", "ctfs.sqlite")
        if not done:
            items.setMicrographs(self.inputMicrographs)
        for micrograph in known:
            number = micrograph.getObjId()
            ctf = CTFModel(objId=number)
            u = 12000 + 250.25 * number + self.defocusShift.get()
            ctf.setStandardDefocus(u, u - 180 - number / 3, (37 * number) % 180)
            ctf.setResolution(math.inf if number == 5 else 2.5 + number / 7)
            ctf.setFitQuality(0.05 + number / 1000)
            ctf.setMicrograph(micrograph)
            ctf.setPsdFile(self._getExtraPath(f"hole_{number:04d}_psd.mrc"))
            items.append(ctf)
        self._updateOutputSet("outputCTF", items, Set.STREAM_OPEN)
        return known[-1].getObjId()

    def _close(self):
        items = self._opened(SetOfCTF, "outputCTF", "ctfs.sqlite")
        self._updateOutputSet("outputCTF", items, Set.STREAM_CLOSED)


class XmippProtMovieGain(_Growing, EMProtocol):
    """Streams a line about each movie's gain residual into the file that monitors read."""

    _label = "stream gain residuals"

    def _defineParams(self, form):
        form.addSection("Input")
        form.addParam("stddev", params.FloatParam, default=0.0167, label="Standard deviation of the residuals")

    def _grow(self, done, stop):
        with Path(self._getPath("summaryForMonitor.txt")).open("a") as summary:
            for number in range(done + 1, stop + 1):
                ends = f"{0.95 + number / 1000:.6f} {1.04 + number / 1000:.6f} {2.1 + number / 100:.6f}"
                summary.write(f"movie_{number:06d}_residual: {self.stddev.get():.6f} {ends}\n")
        return stop


def _acquisition():
    """Return one of its own: Scipion refuses an object that is stored twice."""
    return Acquisition(
        voltage=300.0, sphericalAberration=2.7, amplitudeContrast=0.1, magnification=130000.0, doseInitial=0.0,
        dosePerFrame=1.02,
    )  # fmt: skip
