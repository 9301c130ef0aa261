"""Everything without a screen: sources, decode, store, statistics, dissection, filter."""
