"""What every part of an experiment and every table promises, whoever wrote it.

A promise is a function of what is asked; it returns what was seen of a broken one, or an empty
text. The first line of its docstring says what is promised, the rest what to do where it is broken.
"""
