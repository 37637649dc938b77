//! Peak shaving: a burst of orders meets a slow kitchen, and a bounded queue lies between them.
//!
//! The queue has room for 40 orders. While it is full, the guests wait for room: memory stays
//! bounded, and no order is lost. Guests and kitchen are tasks that take turns on one thread. A
//! turn is a minute. `cargo run --example peak_shaving` prints
//!
//! ```text
//! orders in the queue
//!  40 |      ###############
//!  32 |      ##################
//!  24 |     #####################
//!  16 |     #######################
//!   8 | #################################
//!     +-----------------------------------> minutes
//! up to 20 new orders in a minute, and the kitchen cooks 6
//! never more than 40 orders in the queue
//! 164 orders placed and cooked, each once and in order
//! ```

use futures_lite::future::{block_on, try_zip, yield_now};
use leveret::{Broker, Consumer, Overflow, Producer, Queue, Result, SimpleQueue, TryRecvError};

/// The orders that the guests want to place in each minute.
const NEW_ORDERS: [u32; 24] = [
    2, 2, 2, 2, 20, 20, 20, 20, 20, 20, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
];
/// The orders that the kitchen cooks in a minute.
const SPEED: usize = 6;
/// The orders that the queue has room for.
const ROOM: usize = 40;

fn main() -> Result {
    let broker = Broker::new();
    let orders = Queue::new("orders")
        .max_length(40)
        .overflow(Overflow::Block);
    let guests = order(broker.producer(&orders)?);
    // With a prefetch of 1, an order waits in the queue until the kitchen takes it.
    let kitchen = broker.consumer_builder(&orders).prefetch(1).build()?;
    let kitchen = cook(kitchen, broker.simple_queue(&orders)?);
    let (placed, (cooked, lengths)) = block_on(try_zip(guests, kitchen))?;

    chart(&lengths);
    let (most, longest) = (NEW_ORDERS.iter().max(), lengths.iter().max());
    let (most, longest) = (most.unwrap_or(&0), longest.unwrap_or(&0));
    println!("up to {most} new orders in a minute, and the kitchen cooks {SPEED}");
    println!("never more than {longest} orders in the queue");
    println!("{placed} orders placed and cooked, each once and in order");
    assert!(*longest <= ROOM);
    assert_eq!(cooked, (1..=placed).collect::<Vec<u32>>());
    Ok(())
}

/// The guests place their orders. While the queue is full, they wait for room.
async fn order(orders: Producer<u32>) -> Result<u32> {
    let mut placed = 0;
    for new_orders in NEW_ORDERS {
        for _ in 0..new_orders {
            placed += 1;
            orders.publish_async(placed).await?;
        }
        yield_now().await;
    }
    Ok(placed)
}

/// The kitchen cooks until no order is left. Returns the orders that it has cooked, and the length
/// of the queue in each minute.
async fn cook(orders: Consumer<u32>, queue: SimpleQueue<u32>) -> Result<(Vec<u32>, Vec<usize>)> {
    let (mut cooked, mut lengths) = (Vec::new(), Vec::new());
    loop {
        lengths.push(queue.len()?);
        for _ in 0..SPEED {
            match orders.try_recv() {
                Ok(order) => {
                    cooked.push(*order);
                    order.ack()?;
                }
                Err(TryRecvError::Empty) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if cooked.len() as u32 >= NEW_ORDERS.iter().sum() {
            return Ok((cooked, lengths));
        }
        yield_now().await;
    }
}

/// Draws the length of the queue, minute by minute.
fn chart(lengths: &[usize]) {
    println!("orders in the queue");
    let step = ROOM / 5;
    for level in (0..ROOM).step_by(step).rev() {
        let mark = |length: &usize| if *length > level { '#' } else { ' ' };
        let line: String = lengths.iter().map(mark).collect();
        println!("{:>3} | {}", level + step, line.trim_end());
    }
    println!("    +-{}-> minutes", "-".repeat(lengths.len()));
}
