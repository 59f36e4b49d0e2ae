"""Opening a monitor's pages in a browser."""

from __future__ import annotations

import webbrowser

from pyworkflow import viewer

from emcryowatch.protocols.protocol_monitor import CryowatchMonitor


class PagesView(viewer.View):
    """The pages at an address."""

    def __init__(self, address):
        self.address = address

    def show(self):
        """Open them."""
        webbrowser.open_new_tab(self.address)


class CryowatchPagesViewer(viewer.Viewer):
    """Opens the pages of a monitor that is at work."""

    _environments = [viewer.DESKTOP_TKINTER, viewer.WEB_DJANGO]
    _label = "pages"
    _targets = [CryowatchMonitor]

    def _visualize(self, obj, **_):
        address = obj.getPagesUrl()
        if address:
            return [PagesView(address)]
        text = "The monitor is not at work, so nobody serves its pages. Continue the run to see them."
        return [viewer.MessageView(text, title="cryowatch", tkParent=self.formWindow)]
