"""Where results go: files, a window, and the thread that keeps a slow sink from holding up the rest."""
