"""Gives a set of movies an alignment, and prints what Scipion's API says of it then.  Run by Scipion's interpreter."""

from __future__ import annotations

import json
import sys

from pwem.objects import MovieAlignment, SetOfMovies


def main(file: str, aligned: str) -> None:
    """Write a copy of a set with frames that drift, and print the shifts in Å by name.

    As after an alignment by RELION, the third movie has no shift of any frame and the fourth none of one.
    """
    movies, made = SetOfMovies(filename=file), SetOfMovies(filename=aligned)
    movies.loadAllProperties()
    made.copyInfo(movies)
    for movie in movies:
        drift = [movie.getObjId() * frame * frame / 7 for frame in range(12)]
        across = [-x / 3 for x in drift]
        for frame in {3: range(12), 4: [5]}.get(movie.getObjId(), ()):
            drift[frame] = across[frame] = -9999.0
        movie.setAlignment(MovieAlignment(first=1, last=12, xshifts=drift, yshifts=across))
        made.append(movie)
    made.write()
    made.close()
    said = {}
    for movie in SetOfMovies(filename=aligned):
        pixel_size = movie.getSamplingRate()
        said[movie.getMicName()] = [
            [None if s == -9999 else pixel_size * s for s in axis] for axis in movie.getAlignment().getShifts()
        ]
    print(json.dumps(said))


main(*sys.argv[1:])
