"""How somebody follows the store: what a follower is, and how one that delivers to a server fares."""
