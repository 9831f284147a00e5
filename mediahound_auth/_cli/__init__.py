"""The command line, `mediahound-auth`, and the plugin for HTTPie."""
