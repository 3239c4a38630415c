"""Decides an SMT-LIB file for Halmos: Yices first, which is fast, then cvc5 with bit vectors as integers, which can multiply and divide.

Call: smt.py FILE. Prints sat, unsat or unknown, and after sat the model.
"""
import os
import subprocess
import sys

YICES_SECS = 3
CVC5_SECS = 60


def by_yices(file):
    yices = os.path.join(os.path.dirname(sys.executable), "yices-smt2")
    command = [yices, "--smt2-model-format", "--bvconst-in-decimal", f"--timeout={YICES_SECS}", file]
    return subprocess.run(command, capture_output=True, text=True).stdout


def by_cvc5(file):
    import cvc5  # Takes longer to load than Yices needs for most files.

    solver = cvc5.Solver()
    solver.setOption("produce-models", "true")
    solver.setOption("solve-bv-as-int", "sum")
    solver.setOption("tlimit", str(1000 * CVC5_SECS))
    symbols = cvc5.SymbolManager(solver)
    parser = cvc5.InputParser(solver, symbols)
    parser.setFileInput(cvc5.InputLanguage.SMT_LIB_2_6, file)
    answer = ""
    while not (command := parser.nextCommand()).isNull():
        answer += str(command.invoke(solver, symbols))
    return answer


answer = by_yices(sys.argv[1])
if not answer.startswith(("sat", "unsat")):
    answer = by_cvc5(sys.argv[1])
print(answer)
