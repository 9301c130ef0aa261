"""What holds for all tests."""

from __future__ import annotations

import signal

# Who runs the tests in the background of a shell has SIGINT and SIGQUIT ignored, and so would all that they start:
# ctrl+c would end nothing there.
for number, action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, action)
