"""A camera that speaks RTSP on loopback: ``python3 rtsp_server.py PORT`` with the system's Python.

Debian and Ubuntu have what it imports: python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base,
-good and -ugly (x264enc).
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

SOURCE = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1"
ENCODED = "x264enc tune=zerolatency key-int-max=10 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96"

if __name__ == "__main__":
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory(shared=True)
    factory.set_launch(f"( {SOURCE} ! videoconvert ! {ENCODED} )")
    server.get_mount_points().add_factory("/scope", factory)
    if not server.attach(None):
        sys.exit(f"port {sys.argv[1]} cannot be listened to")
    print("ready", flush=True)
    GLib.MainLoop().run()
