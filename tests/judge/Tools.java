// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command-line tools one after the other in one process, since each start of Java takes a second. A line of its
 * input is a tool's class, what the tool reads, and its arguments, separated by tabs; a class that begins with '&' is not
 * waited for, and "wait" waits for all those. For each line it prints the number of bytes that the tool printed, and those.
 */
public final class Tools {
    /** Ended is thrown where a tool ends the process. */
    private static final class Ended extends Error {
        final int status;

        Ended(int status) {
            super(null, null, false, false);
            this.status = status;
        }
    }

    /** Where each thread's output goes; that of threads that tools start goes where the tool's does. */
    private static final InheritableThreadLocal<ByteArrayOutputStream> SAID = new InheritableThreadLocal<>();

    private static final InheritableThreadLocal<int[]> STATUS = new InheritableThreadLocal<>();

    private static final OutputStream TO_ITS_TOOL = new OutputStream() {
        @Override
        public void write(int b) {
            if (SAID.get() != null) SAID.get().write(b);
        }
    };

    /** What each tool wants done when its process ends: writers send what they still have. */
    private static final InheritableThreadLocal<List<Runnable>> HOOKS = new InheritableThreadLocal<>();

    private static final ThreadGroup BEHIND = new ThreadGroup("behind");

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        System.setOut(new PrintStream(TO_ITS_TOOL, true));
        System.setErr(new PrintStream(TO_ITS_TOOL, true));
        Exit.setExitProcedure((status, message) -> end(status));
        Exit.setHaltProcedure((status, message) -> end(status));
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.get().add(hook));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null;) {
            byte[] said = line.equals("wait") ? awaitAll() : run(line.split("\t", -1));
            out.println(said.length);
            out.write(said);
            out.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    /** The exit code counts that a tool names first: some catch Ended, and end once more. */
    private static void end(int status) {
        int[] first = STATUS.get();
        if (first != null && first[0] < 0) first[0] = status;
        throw new Ended(first == null ? status : first[0]);
    }

    private static byte[] run(String[] words) throws InterruptedException {
        boolean behind = words[0].startsWith("&");
        String name = behind ? words[0].substring(1) : words[0];
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        System.setIn(new ByteArrayInputStream(words[1].replace('|', '\n').getBytes()));
        Thread t = new Thread(behind ? BEHIND : null, () -> {
            SAID.set(said);
            STATUS.set(new int[] {-1});
            HOOKS.set(Collections.synchronizedList(new ArrayList<>()));
            int status = call(name, Arrays.copyOfRange(words, 2, words.length));
            HOOKS.get().forEach(Runnable::run);
            if (STATUS.get()[0] >= 0) status = STATUS.get()[0];
            if (status != 0) System.out.println("exit code " + status);
        }, "tool");
        t.setDaemon(true);
        t.start();
        if (behind) return new byte[0];
        t.join(60_000);
        if (name.endsWith("ReplicaVerificationTool")) Thread.sleep(10_000); // the threads that it starts never end
        return (said + (t.isAlive() ? "it didn't end in a minute\n" : "")).getBytes();
    }

    private static int call(String name, String[] args) {
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            Throwable cause = e.getCause();
            if (cause instanceof Ended) return ((Ended) cause).status;
            System.out.println(cause);
            return 1;
        } catch (ReflectiveOperationException e) {
            System.out.println(e);
            return 1;
        }
        return 0;
    }

    private static byte[] awaitAll() throws InterruptedException {
        Thread[] all = new Thread[BEHIND.activeCount() + 8];
        int n = BEHIND.enumerate(all);
        for (int i = 0; i < n; i++) {
            if (all[i].getName().equals("tool")) all[i].join(60_000);
        }
        return new byte[0];
    }
}
